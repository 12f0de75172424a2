import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { buildApp } from '../../src/app.ts'
import { randomSecret } from '../../src/lib/ids.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { linesOf } from '../helpers/audit.ts'
import { rows } from '../helpers/connect.ts'
import { newKey, newTenantWithKey } from '../helpers/management.ts'
import { deauthorization, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

let t: TestApp

beforeAll(async () => {
  // the service's clock, that a test may begin in a minute of its own
  t = await startTestApp({
    env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET },
    now: () => Date.now() + lastOctet * 60_000,
  })
})
afterAll(() => t.stop())

let lastOctet = 0
/** An address that no other test calls from, in a minute in which nobody was refused. */
const newAddress = () => `198.51.100.${++lastOctet}`
const get = (remoteAddress: string, headers: Record<string, string> = {}, url = '/v1/hosts', app = t.app) =>
  app.inject({ url, headers, remoteAddress })
const refusedFrom = async (address: string) =>
  (await linesOf(t, `address = $1`, [address])).map((line) => ({ ...line, id: undefined, at: undefined }))

describe('a refused authentication', () => {
  test('without a key, or with one that is none, is of nobody', async () => {
    const address = newAddress()
    await get(address)
    await get(address, { authorization: `Bearer lk_${'0'.repeat(104)}` })
    const lines = await refusedFrom(address)
    const nobody = { tenant_id: null, actor: 'anonymous', outcome: 'unauthenticated', status: 401, count: 1 }
    expect(lines).toEqual([
      expect.objectContaining({ ...nobody, action: expect.stringMatching(/^auth\.bearer_(missing|unknown)$/) }),
      expect.objectContaining({ ...nobody, action: expect.stringMatching(/^auth\.bearer_(missing|unknown)$/) }),
    ])
    expect(new Set(lines.map(({ action }) => action)).size).toBe(2)
  })

  test('with a key that proves whose it is, but is past its time or may not do this, is in its tenant’s trail', async () => {
    const { id } = await newTenantWithKey(t)
    const other = await newTenantWithKey(t)
    const key = await newKey(t, id, ['hosts:read'])
    const address = newAddress()
    const authorization = `Bearer ${key}`
    await get(address, { authorization }, '/v1/passes')
    await get(address, { authorization }, '/v1/tenants')
    await get(address, { authorization, 'latchkey-tenant': other.id })
    await rows(t, `UPDATE api_keys SET expires_at = now() - interval '1 hour' WHERE tenant_id = $1`, [id])
    expect((await get(address, { authorization })).json()).toMatchObject({ status: 401, code: 'unauthenticated' })
    const lines = await refusedFrom(address)
    expect(lines.map(({ action, outcome }) => `${action} ${outcome}`).sort()).toEqual([
      'auth.bearer_expired unauthenticated',
      'auth.operator_only forbidden',
      'auth.scope_missing forbidden',
      'auth.tenant_mismatch forbidden',
    ])
    const known = { tenant_id: id, actor: expect.stringMatching(/^key:[0-9a-f-]{36}$/), request_id: expect.any(String) }
    expect(lines).toEqual(lines.map(() => expect.objectContaining(known)))
  })

  test('of a scope that the body asks for likewise', async () => {
    const { id } = await newTenantWithKey(t)
    const key = await newKey(t, id, ['passes:write'])
    const body = { kinds: ['access'], host: { external_user_id: 'alice' } }
    expect((await t.api('POST', '/v1/passes', { key, body })).statusCode).toBe(403)
    const lines = await linesOf(t, `tenant_id = $1 AND actor LIKE 'key:%'`, [id])
    expect(lines.map(({ action }) => action)).toEqual(['auth.scope_missing'])
  })

  test('of Zoom’s webhook, of a browser without a living flow and of a bot without a pass is counted by its class', async () => {
    const before = (await linesOf(t)).map(({ id }) => id)
    newAddress()
    await zoomSends(t, deauthorization('user', 'account'), { secret: 'another' })
    await t.app.inject({ url: `/zoom/oauth?session=${randomSecret()}` })
    await t.app.inject({ url: `/zoom/oauth/callback?code=x&state=${randomSecret()}` })
    await t.bot(`/zoom/join-token?pass=${randomSecret()}`)
    const lines = await linesOf(t, `id <> ALL ($1) AND action LIKE 'auth.%'`, [before])
    expect(lines.map(({ action, status }) => `${action} ${status}`).sort()).toEqual([
      'auth.bot_pass_unknown 401',
      'auth.flow_no_binding_cookie 400',
      'auth.flow_session_unusable 400',
      'auth.zoom_signature_mismatch 401',
    ])
  })

  test('of a bot whose pass is known is a mint, and not told twice', async () => {
    const pass = await t.createPass({ meeting: '111111111' })
    const before = (await linesOf(t)).length
    await t.bot(pass.join_token_url, { secrets: [`whsec_${Buffer.alloc(32).toString('base64')}`] })
    expect((await linesOf(t)).length).toBe(before)
    expect(await rows(t, 'SELECT FROM mints WHERE pass_id = $1', [pass.id])).toHaveLength(1)
  })
})

describe('a flood', () => {
  test('from one address is one line a class and minute, which counts, over all replicas', async () => {
    const replica = await buildApp({ env: { ...t.settings, LOG_LEVEL: 'fatal' } })
    onTestFinished(() => replica.app.close())
    const address = newAddress()
    for (let round = 0; round < 3; round++) {
      for (let each = 0; each < 40; each++) await get(address)
      for (let each = 0; each < 40; each++) await get(address, {}, '/v1/passes', replica.app as never)
      await replica.services.refusals.flush()
      await t.services.refusals.flush()
    }
    const lines = await linesOf(t, 'address = $1', [address])
    expect(lines.length).toBeLessThanOrEqual(2) // the minute may end meanwhile
    expect(lines.reduce((sum, { count }) => sum + count, 0)).toBe(240)
  })

  test('from many addresses names a hundred of them a minute, counts the rest, and fills no table', async () => {
    newAddress()
    const before = (await linesOf(t)).length
    const sumOf = async () => (await rows<{ n: number }>(t, `SELECT sum(count)::int AS n FROM audit_events`))[0]?.n ?? 0
    const counted = await sumOf()
    for (let each = 0; each < 600; each++) await get(`2001:db8::${each.toString(16)}`)
    const lines = await linesOf(t)
    expect(lines.length - before).toBeLessThanOrEqual(202)
    expect((await sumOf()) - counted).toBe(600)
    expect(lines.some(({ address, action }) => address === null && action === 'auth.bearer_missing')).toBe(true)
  })

  test('while the trail cannot be written is still refused, and counted afterwards', async () => {
    const address = newAddress()
    const writes = await t.admin.connect()
    await writes.query('BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE')
    const answers = await Promise.all(Array.from({ length: 5 }, () => get(address)))
    await writes.query('COMMIT')
    writes.release()
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([401, 401, 401, 401, 401])
    const lines = await linesOf(t, 'address = $1', [address])
    expect(lines.reduce((sum, { count }) => sum + count, 0)).toBe(5)
  })
})
