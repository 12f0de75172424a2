import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import Fastify from 'fastify'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { recallGuard } from '../../../src/plugins/recall-guard.ts'
import { KNOWN, newPassSecret, newSecret, serving, startGuard, TENANT } from '../../helpers/bare-guard.ts'

const REFUSED = [401, 'unauthenticated']
const noteOf = (reason: string, address = '127.0.0.1') => ({
  action: `auth.bot_${reason}`,
  outcome: 'unauthenticated',
  status: 401,
  tenantId: null,
  actor: 'anonymous',
  requestId: 'request',
  address,
})

/** A guard that knows one pass and one secret of its tenant. */
async function startServing(more: Parameters<typeof startGuard>[0] = {}) {
  const world = await startGuard(more)
  const secret = newSecret()
  world.tenants.set(TENANT, serving([secret]))
  return { ...world, secret, pass: world.addPass() }
}

describe('a signed request with a pass', () => {
  test('opens the mint of that pass, of the kind its URL names, under its own id and the secret that held', async () => {
    const { ask, pass, secret, signed, opened, refused, noted } = await startServing()
    expect(await ask(pass.url, signed([secret], { id: 'msg_a' }))).toEqual([200, { mint: 1 }])
    expect(await ask(pass.url.replace('join', 'zak'), signed([secret], { id: 'msg_b' }))).toEqual([200, { mint: 2 }])
    const common = { with: 'pass', passId: 'pass', secretId: 'secret', requestId: 'request' }
    expect(opened).toEqual([
      { ...common, kind: 'join', webhookId: 'msg_a' },
      { ...common, kind: 'zak', webhookId: 'msg_b' },
    ])
    expect([refused, noted]).toEqual([[], []])
  })

  test('names no row of a workspace where the operator’s own secret held', async () => {
    const { ask, pass, secret, signed, opened, tenants } = await startServing()
    tenants.set(TENANT, serving([secret], { source: 'environment' }))
    expect(await ask(pass.url, signed([secret]))).toEqual([200, { mint: 1 }])
    expect(opened).toMatchObject([{ secretId: null, webhookId: 'msg_1' }])
  })

  test('is refused for its signature, and the pass’s mints say why', async () => {
    const { ask, pass, secret, signed, opened, refused, noted } = await startServing()
    const wrong = [{}, signed([newSecret()]), signed([secret], { ageSeconds: 301 })]
    for (const headers of wrong) expect(await ask(pass.url, headers)).toEqual(REFUSED)
    expect(refused).toEqual(
      ['signature_missing', 'signature_mismatch', 'timestamp_out_of_range'].map((reason) => [
        'pass',
        'join',
        reason,
        'request',
      ]),
    )
    expect([opened, noted]).toEqual([[], []])
  })

  test('is refused where no secret serves its tenant, and let in once one does', async () => {
    const { ask, pass, secret, signed, refused, tenants } = await startServing()
    tenants.set(TENANT, serving([]))
    expect(await ask(pass.url, signed([secret]))).toEqual(REFUSED)
    expect(refused).toEqual([['pass', 'join', 'no_secret_configured', 'request']])
    tenants.set(TENANT, serving([secret]))
    expect(await ask(pass.url, signed([secret]))).toEqual([200, { mint: 1 }])
  })
})

describe('a pass that nobody has', () => {
  test('is refused and noted without any tenant, and asked for again, since it may be made meanwhile', async () => {
    const { ask, secret, signed, noted, opened, refused, asked } = await startServing()
    const url = `/join?pass=${newPassSecret()}`
    for (let time = 0; time < 2; time++)
      expect(await ask(url, signed([secret]), { remoteAddress: '192.0.2.1' })).toEqual(REFUSED)
    expect(noted).toEqual(Array(2).fill(noteOf('pass_unknown', '192.0.2.1')))
    expect([opened, refused, asked.passes]).toEqual([[], [], 2])
  })

  test.each(['', 'x', newPassSecret().slice(1), `${newPassSecret()}x`, `x${newPassSecret()}`, `${'a'.repeat(42)}.`])(
    'is not asked for at the database where it cannot be one: %j',
    async (presented) => {
      const { ask, secret, signed, noted, asked } = await startServing()
      expect(await ask(`/join?pass=${presented}`, signed([secret]))).toEqual(REFUSED)
      expect([noted, asked.passes]).toEqual([[noteOf('pass_unknown')], 0])
    },
  )

  test('costs the MAC that a wrong signature costs, so that the time taken does not tell which it was', async () => {
    const { ask, pass, signed } = await startServing()
    await ask(pass.url, signed([newSecret()]))
    const createHmac = vi.spyOn(crypto, 'createHmac')
    syncBuiltinESMExports()
    onTestFinished(() => {
      createHmac.mockRestore()
      syncBuiltinESMExports()
    })
    const macsOf = async (url: string) => {
      const headers = signed([newSecret()])
      createHmac.mockClear()
      expect(await ask(url, headers)).toEqual(REFUSED)
      return createHmac.mock.calls.length
    }
    expect(await macsOf(`/join?pass=${newPassSecret()}`)).toBeGreaterThan(0)
    expect(await macsOf('/join?pass=x')).toBeGreaterThan(0)
    expect(await macsOf(pass.url)).toBeGreaterThan(0)
  })
})

test('a request with neither pass nor meeting is refused and noted', async () => {
  const { ask, secret, signed, noted, asked } = await startServing()
  expect(await ask('/join', signed([secret]))).toEqual(REFUSED)
  expect([noted, asked]).toEqual([[noteOf('pass_missing')], { passes: 0, secrets: [] }])
})

test('a route that mints nothing is not guarded, nor does it see what another request opened', async () => {
  const { ask, asked } = await startServing()
  expect(await ask('/other')).toEqual([200, null])
  expect(asked).toEqual({ passes: 0, secrets: [] })
})

test('more than 100 failures a second from one address are told to wait, and recorded all the same', async () => {
  const { ask, app, pass, refused } = await startServing()
  for (let failure = 0; failure < 100; failure++) expect(await ask(pass.url)).toEqual(REFUSED)
  expect(await ask(pass.url)).toEqual([429, 'rate_limited'])
  const { statusCode, headers } = await app.inject({ url: '/join' })
  expect([statusCode, headers['retry-after']]).toEqual([429, '1'])
  expect(await ask(pass.url, {}, { remoteAddress: '192.0.2.9' })).toEqual(REFUSED)
  expect(refused).toHaveLength(102)
})

describe('every answer', () => {
  test('is for no cache', async () => {
    const { app, pass, secret, signed } = await startServing()
    const urls: [string, Record<string, string>][] = [
      [pass.url, signed([secret])],
      [pass.url, {}],
      ['/other', {}],
    ]
    for (const [url, headers] of urls)
      expect((await app.inject({ url, headers })).headers['cache-control']).toBe('no-store')
  })

  test.each<[string, Record<string, string>]>([
    ['a length', { 'content-length': '1' }],
    ['a length that is no number', { 'content-length': '00' }],
    ['chunks', { 'transfer-encoding': 'chunked' }],
    ['chunks and a length of 0', { 'transfer-encoding': 'chunked', 'content-length': '0' }],
  ])('to a GET with a body (%s) is 400 and ends the connection, before anything is looked at', async (_, body) => {
    const { app, pass, secret, signed, asked } = await startServing()
    const answer = await app.inject({ url: pass.url, headers: { ...signed([secret]), ...body } })
    expect([answer.statusCode, answer.json().code, answer.headers.connection]).toEqual([
      400,
      'invalid_request',
      'close',
    ])
    expect(answer.json().detail).toBe('This GET takes no body.')
    expect(asked).toEqual({ passes: 0, secrets: [] })
  })

  test('to a GET that says it has none is as without, and the connection lives on', async () => {
    const { app, pass, secret, signed } = await startServing()
    const answer = await app.inject({ url: pass.url, headers: { ...signed([secret]), 'content-length': '0' } })
    expect([answer.statusCode, answer.headers.connection]).toEqual([200, 'keep-alive'])
  })

  test('comes in time: where the database does not answer, the bot is told to try again', async () => {
    const { app, pass } = await startServing({ resolvePass: () => new Promise(() => {}), deadlineMs: 1 })
    const answer = await app.inject({ url: pass.url })
    expect([answer.statusCode, answer.json().code]).toEqual([503, 'store_unavailable'])
    expect(answer.json().detail).toBe('The database did not answer in time; try again.')
  })
})

test.each([
  ['signature_missing', 'pass_revoked'],
  ['signature_mismatch', 'pass_revoked'],
])('a pass that was revoked does not let in what is not signed (%s)', async (reason) => {
  const { ask, addPass, signed, refused } = await startServing()
  const pass = addPass({ ...KNOWN, revokedAt: new Date(0) })
  expect(await ask(pass.url, reason === 'signature_missing' ? {} : signed([newSecret()]))).toEqual(REFUSED)
  expect(refused).toEqual([['pass', 'join', reason, 'request']])
})

test('the guard does not start where nothing turns its errors into answers', async () => {
  const app = Fastify()
  onTestFinished(() => app.close())
  const register = async () => await app.register(recallGuard, {} as never)
  await expect(register()).rejects.toThrow(/'error-handler'.*'recall-guard'/)
})
