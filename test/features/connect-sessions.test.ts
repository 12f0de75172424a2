import { expect, test } from 'vitest'
import { sha256 } from '../../src/lib/ids.ts'
import { buildTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'

const SESSIONS = '/v1/connect-sessions'

test('a session is a link whose secret the database knows only as a hash, good for 600 seconds', async () => {
  const t = await buildTestApp()
  const before = Date.now()
  const created = await t.api('POST', SESSIONS, { body: { external_user_id: 'user-1' } })
  expect(created.statusCode).toBe(201)
  const { id, url, expires_at } = created.json()
  expect(Object.keys(created.json()).sort()).toEqual(['expires_at', 'id', 'url'])
  expect(url).toMatch(/^http:\/\/localhost:4000\/zoom\/oauth\?session=[A-Za-z0-9_-]{43}$/)
  expect(Date.parse(expires_at) - before).toBeGreaterThan(590_000)
  expect(Date.parse(expires_at) - before).toBeLessThan(620_000)
  const secret = new URL(url).searchParams.get('session') ?? ''
  const [stored] = await rows<{ id: string; secret_hash: Buffer }>(t, 'SELECT * FROM connect_sessions')
  expect(stored?.id).toBe(id)
  expect(stored?.secret_hash).toEqual(sha256(secret))
  expect(JSON.stringify(stored)).not.toContain(secret)
  expect(t.log.join('')).not.toContain(secret)
})

const UNUSABLE: [string, Record<string, unknown>][] = [
  ['no external_user_id', {}],
  ['a blank external_user_id', { external_user_id: '  ' }],
  ['an unknown field', { external_user_id: 'u', tenant_id: 'x' }],
  ['an unknown kind', { external_user_id: 'u', kind: 'bot' }],
  ['a life under 600 s', { external_user_id: 'u', expires_in_seconds: 599, expected_email: 'a@b.example' }],
  ['a life over a week', { external_user_id: 'u', expires_in_seconds: 604_801, expected_email: 'a@b.example' }],
  ['a long life without expected_email', { external_user_id: 'u', expires_in_seconds: 601 }],
  ['replace without expected_email', { external_user_id: 'u', on_other_zoom_user: 'replace' }],
  ['an expected_email that is none', { external_user_id: 'u', expected_email: 'nobody' }],
  ['a return_url that is a list', { external_user_id: 'u', return_url: ['https://app.example.com'] }],
  ['an empty return_url', { external_user_id: 'u', return_url: '' }],
  ['a return_url of 3 KiB', { external_user_id: 'u', return_url: `https://app.example.com/${'x'.repeat(3072)}` }],
  ['a return_url with a script', { external_user_id: 'u', return_url: 'javascript:alert(1)' }],
  ['a return_url with a user', { external_user_id: 'u', return_url: 'https://app.example.com@evil.com' }],
  ['a return_url over plain http', { external_user_id: 'u', return_url: 'http://app.example.com' }],
]

test('400 invalid_request for every body that breaks a rule, and nothing is stored', async () => {
  const t = await buildTestApp()
  for (const [rule, body] of UNUSABLE) {
    const refused = await t.api('POST', SESSIONS, { body })
    expect([rule, refused.statusCode, refused.json().code]).toEqual([rule, 400, 'invalid_request'])
  }
  expect(await rows(t, 'SELECT 1 FROM connect_sessions')).toEqual([])
})

test('with expected_email a link may live a week and may replace another Zoom user', async () => {
  const t = await buildTestApp()
  const created = await t.api('POST', SESSIONS, {
    body: {
      external_user_id: 'u',
      expected_email: '  Hana@Example.com ',
      expires_in_seconds: 604_800,
      on_other_zoom_user: 'replace',
    },
  })
  expect(created.statusCode).toBe(201)
  expect(Date.parse(created.json().expires_at) - Date.now()).toBeGreaterThan(604_000_000)
})

test('where the tenant lists return_url_origins, a return_url is of one of them', async () => {
  const t = await buildTestApp()
  const { headers } = await newTenant(t, { return_url_origins: ['https://app.example.com'] })
  const create = (return_url: string) =>
    t.api('POST', SESSIONS, { headers, body: { external_user_id: 'u', return_url } })
  expect((await create('https://app.example.com:443/done?x=1')).statusCode).toBe(201)
  const refused = await create('https://evil.example.com/')
  expect(refused.statusCode).toBe(400)
  expect(refused.json().errors).toEqual([{ path: 'body/return_url', message: expect.stringContaining('origins') }])
})

test('409 app_not_configured where neither the tenant nor the operator has an app of the kind', async () => {
  const t = await buildTestApp()
  const refused = await t.api('POST', SESSIONS, { body: { external_user_id: 'u', kind: 'organization' } })
  expect(refused.statusCode).toBe(409)
  expect(refused.json().code).toBe('app_not_configured')
})

test('401 without a key, 403 for a tenant key without the scope connect, 404 for an unknown tenant', async () => {
  const t = await buildTestApp()
  const body = { external_user_id: 'u' }
  const { id } = await newTenant(t)
  const keyWith = async (scopes: string[]) =>
    (await t.api('POST', `/v1/tenants/${id}/api-keys`, { body: { name: 'k', scopes } })).json().key as string
  expect((await t.app.inject({ method: 'POST', url: SESSIONS, payload: body })).statusCode).toBe(401)
  expect((await t.api('POST', SESSIONS, { key: await keyWith(['hosts:read']), body })).statusCode).toBe(403)
  expect((await t.api('POST', SESSIONS, { headers: { 'latchkey-tenant': 'nobody' }, body })).statusCode).toBe(404)
  expect(await rows(t, 'SELECT 1 FROM connect_sessions')).toEqual([])
  expect((await t.api('POST', SESSIONS, { key: await keyWith(['connect']), body })).statusCode).toBe(201)
  expect(await rows(t, 'SELECT tenant_id FROM connect_sessions')).toEqual([{ tenant_id: id }])
})

test('what has expired is purged, what lives stays', async () => {
  const t = await buildTestApp()
  await t.open(await t.connectLink({ external_user_id: 'old' }))
  await rows(t, `UPDATE connect_flows SET expires_at = now() - interval '1 s'`)
  await rows(t, `UPDATE connect_sessions SET expires_at = now() - interval '25 hours'`)
  await t.open(await t.connectLink({ external_user_id: 'new' }))
  expect(await t.services.connectSessions.purgeExpiredAcrossTenants()).toEqual({ sessions: 1, flows: 1 })
  expect(await rows(t, 'SELECT external_user_id FROM connect_sessions')).toEqual([{ external_user_id: 'new' }])
  expect(await rows(t, 'SELECT 1 FROM connect_flows')).toHaveLength(1)
})
