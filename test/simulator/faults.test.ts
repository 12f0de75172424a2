import { expect, test } from 'vitest'
import type { FaultInput } from '../../simulator/fault-schema.ts'
import type { Simulator } from '../../simulator/server.ts'
import { APP, connect, get, HOST, OTHER, rawGet, refresh, simulator } from './client.ts'

const ME = '/v2/users/me'
const REFRESH = { path: '/oauth/token', grant_type: 'refresh_token' }

/** A connected simulator with one fault on the user's own record. */
async function faulty(action: FaultInput['action'], more: Partial<FaultInput> = {}) {
  const sim = await simulator()
  const { access_token: token } = await connect(sim)
  const fault = sim.setFault({ match: { path: ME }, action, ...more })
  return {
    sim,
    token,
    fault,
    ask: () => get<Record<string, unknown>>(sim, ME, token),
    raw: () => rawGet(sim, ME, token),
  }
}

/** A refresh that fails on the wire; what the client then knows is nothing. */
const failedRefresh = (sim: Simulator, token: string) => refresh(sim, token).catch(() => null)

test('a status fault answers in Zoom’s place, with its own headers, once and no more', async () => {
  const { ask } = await faulty({ type: 'status', status: 429, headers: { 'retry-after': '7' }, body: { code: 429 } })
  const struck = await ask()
  expect([struck.status, struck.headers.get('retry-after'), struck.body]).toEqual([429, '7', { code: 429 }])
  expect((await ask()).status).toBe(200)
})

test('times, skip and clearing bound a fault', async () => {
  const { sim, ask } = await faulty({ type: 'status', status: 503 }, { times: 2, skip: 1 })
  const statuses = []
  for (let turn = 0; turn < 4; turn += 1) statuses.push((await ask()).status)
  expect(statuses).toEqual([200, 503, 503, 200])
  sim.setFault({ times: -1, action: { type: 'status', status: 500 } })
  expect([(await ask()).status, (await ask()).status]).toEqual([500, 500])
  sim.clearFaults()
  expect((await ask()).status).toBe(200)
})

test('a fault strikes only the requests it matches: method, path, pattern, user, client and grant type', async () => {
  const sim = await simulator()
  const [host, other] = [await connect(sim), await connect(sim, OTHER)]
  const struck = async (match: FaultInput['match'], token = host.access_token) => {
    sim.setFault({ match, action: { type: 'status', status: 500 } })
    const { status } = await get(sim, ME, token)
    sim.clearFaults()
    return status === 500
  }
  expect(await struck({ method: 'get', path: '^/v2/users/me$' })).toBe(true)
  expect(await struck({ method: 'POST' })).toBe(false)
  expect(await struck({ path: '^/v2/users$' })).toBe(false)
  expect(await struck({ user_id: HOST, client_id: APP.id })).toBe(true)
  expect(await struck({ user_id: HOST }, other.access_token)).toBe(false)
  expect(await struck({ client_id: 'another' })).toBe(false)
  sim.setFault({ match: { ...REFRESH, user_id: OTHER }, action: { type: 'status', status: 500 } })
  expect([(await refresh(sim, host.refresh_token)).status, (await refresh(sim, other.refresh_token)).status]).toEqual([
    200, 500,
  ])
})

test.each([
  ['before', false],
  ['after', false],
  ['never', true],
] as const)('a reset with effect %s leaves the presented refresh token alive: %s', async (effect, isAlive) => {
  const sim = await simulator()
  const { refresh_token: token } = await connect(sim)
  sim.setFault({ match: REFRESH, effect, action: { type: 'reset' } })
  expect(await failedRefresh(sim, token)).toBeNull()
  await sim.waitFor({ grant_type: 'refresh_token' })
  expect(sim.liveRefreshToken(HOST, APP.id) === token).toBe(isAlive)
  expect((await refresh(sim, token)).status).toBe(isAlive ? 200 : 400)
})

test('a status fault can come after the rotation: Zoom answers 500, yet the token is spent', async () => {
  const sim = await simulator()
  const { refresh_token: token } = await connect(sim)
  sim.setFault({ match: REFRESH, effect: 'before', action: { type: 'status', status: 500 } })
  expect([(await refresh(sim, token)).status, (await refresh(sim, token)).status]).toEqual([500, 400])
})

test.each([4735, 4738, 4740, 4741, 4717])('the token endpoint can refuse with %i', async (code) => {
  const sim = await simulator()
  const { refresh_token: token } = await connect(sim)
  sim.setFault({ match: REFRESH, action: { type: 'zoom_error', code } })
  const refused = await refresh<{ code: number; reason: string }>(sim, token)
  expect([refused.status, refused.body.code]).toEqual([400, code])
  expect(refused.body.reason).toContain(`(${code})`)
  expect(sim.liveRefreshToken(HOST, APP.id)).toBe(token)
})

test('a hold keeps the answer until it is released, with the work done before or after', async () => {
  const sim = await simulator()
  const { refresh_token: token } = await connect(sim)
  const fault = sim.setFault({ match: REFRESH, action: { type: 'hold' } })
  const answer = refresh(sim, token)
  await fault.hit()
  expect(sim.liveRefreshToken(HOST, APP.id)).not.toBe(token)
  fault.release()
  const { refresh_token: next } = (await answer).body
  const late = sim.setFault({ match: REFRESH, effect: 'after', action: { type: 'hold' } })
  const lateAnswer = refresh(sim, next)
  await late.hit()
  expect(sim.liveRefreshToken(HOST, APP.id)).toBe(next)
  sim.release()
  expect((await lateAnswer).status).toBe(200)
})

test('Zoom works on when the client hangs up', async () => {
  const sim = await simulator()
  const { refresh_token: token } = await connect(sim)
  const fault = sim.setFault({ match: REFRESH, effect: 'after', action: { type: 'hold' } })
  const hangUp = new AbortController()
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token })
  body.set('client_id', APP.id)
  body.set('client_secret', APP.secret)
  const answer = fetch(`${sim.url}/oauth/token`, { method: 'POST', body, signal: hangUp.signal }).catch(() => 'hung up')
  await fault.hit()
  hangUp.abort()
  expect(await answer).toBe('hung up')
  fault.release()
  await sim.waitFor({ grant_type: 'refresh_token', status: 200 })
  expect(sim.liveRefreshToken(HOST, APP.id)).not.toBe(token)
})

test('a delay holds the answer back for its time', async () => {
  const { ask } = await faulty({ type: 'delay', ms: 60 })
  const startedAt = performance.now()
  expect((await ask()).status).toBe(200)
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(55)
})

test.each(['before_headers', 'after_headers'] as const)('a hang %s never ends by itself', async (stage) => {
  const { sim, token, fault } = await faulty({ type: 'hang', stage })
  const hangUp = new AbortController()
  const answer = fetch(sim.url + ME, { headers: { authorization: `Bearer ${token}` }, signal: hangUp.signal })
  await fault.hit()
  const response = stage === 'after_headers' ? await answer : null
  const end = (response?.text() ?? answer).catch((error: Error) => error.name)
  hangUp.abort()
  expect([response?.status ?? null, await end]).toEqual([stage === 'after_headers' ? 200 : null, 'AbortError'])
})

test.each([
  ['cut', { type: 'cut' }, 200],
  ['cut in mid-chunk', { type: 'cut', chunked: true }, 200],
  ['reset', { type: 'reset' }, null],
] as const)('a %s breaks the connection under the client', async (_, action, status) => {
  const { raw } = await faulty(action)
  const answer = await raw()
  expect(answer.status).toBe(status)
  expect(answer.error).not.toBeNull()
})

test('a drip sends the whole answer, byte by byte', async () => {
  const { sim, token } = await faulty({ type: 'drip', intervalMs: 1 }, { match: { path: '/v2/nowhere' } })
  const dripped = await get<{ code: number }>(sim, '/v2/nowhere', token)
  expect([dripped.status, dripped.body.code]).toEqual([404, 2300])
})

test('an HTML page, an empty body and broken JSON come in place of the answer', async () => {
  const { sim, ask } = await faulty({ type: 'html', status: 400 })
  const html = await ask()
  expect([html.status, html.headers.get('content-type')]).toEqual([400, 'text/html;charset=UTF-8'])
  const bodyOf = async (body: unknown, status?: number) => {
    sim.setFault({ match: { path: ME }, action: { type: 'body', body, ...(status ? { status } : {}) } })
    const response = await fetch(sim.url + ME, { headers: { authorization: 'Bearer x' } })
    return [response.status, await response.text()]
  }
  expect(await bodyOf('{"token":')).toEqual([200, '{"token":'])
  expect(await bodyOf('')).toEqual([200, ''])
  expect(await bodyOf(null)).toEqual([200, 'null'])
  expect(await bodyOf('', 204)).toEqual([204, ''])
})

test('fields can be left out of or changed in Zoom’s own answer, after its work', async () => {
  const sim = await simulator()
  const { refresh_token: token } = await connect(sim)
  sim.setFault({ match: REFRESH, action: { type: 'omit', field: 'refresh_token' } })
  const partial = (await refresh<Record<string, unknown>>(sim, token)).body
  expect([partial.refresh_token, typeof partial.access_token]).toEqual([undefined, 'string'])
  const next = sim.liveRefreshToken(HOST, APP.id) ?? ''
  sim.setFault({ match: REFRESH, action: { type: 'set', fields: { expires_in: 'soon', scope: '' } } })
  expect((await refresh(sim, next)).body).toMatchObject({ expires_in: 'soon', scope: '', token_type: 'bearer' })
})

test('answers can be oversized, plain or packed, and still hold the real fields', async () => {
  const bytes = 300_000
  const { sim, ask } = await faulty({ type: 'oversized', bytes })
  const large = await ask()
  expect([large.text.length > bytes, large.body.email]).toEqual([true, HOST])
  sim.setFault({ match: { path: ME }, action: { type: 'gzip_bomb', bytes } })
  const packed = await ask()
  expect([packed.headers.get('content-encoding'), packed.text.length > bytes, packed.body.email]).toEqual([
    'gzip',
    true,
    HOST,
  ])
  expect(Number(packed.headers.get('content-length'))).toBeLessThan(bytes / 50)
})

test('redirects, interim answers and many headers can be sent', async () => {
  const { sim, ask, raw } = await faulty({ type: 'redirect', status: 307, location: 'http://127.0.0.1:9/elsewhere' })
  const moved = await ask()
  expect([moved.status, moved.headers.get('location')]).toEqual([307, 'http://127.0.0.1:9/elsewhere'])
  for (const status of [100, 103] as const) {
    sim.setFault({ match: { path: ME }, action: { type: 'informational', status } })
    expect(await raw()).toMatchObject({ status: 200, error: null, informational: expect.arrayContaining([status]) })
  }
  sim.setFault({ match: { path: ME }, action: { type: 'many_headers', count: 300 } })
  expect([...(await ask()).headers.keys()].filter((name) => name.startsWith('x-simulated-'))).toHaveLength(300)
})

test('the log names the fault and what Zoom did, and closing ends every wait', async () => {
  const { sim, token, fault } = await faulty({ type: 'hold' }, { effect: 'never' })
  const answer = get(sim, ME, token).catch(() => 'broken')
  await fault.hit()
  expect(sim.log({ path: ME }).at(-1)).toMatchObject({ status: null, fault: 'hold', effect: 'never' })
  await sim.close()
  expect(await answer).toBe('broken')
})
