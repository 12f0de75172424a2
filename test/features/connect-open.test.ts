import { expect, test } from 'vitest'
import { sha256 } from '../../src/lib/ids.ts'
import { pkceChallenge } from '../../src/zoom/oauth.ts'
import { buildTestApp } from '../helpers/app.ts'
import { CLIENT_ID, consent, exchanges, newTenant, rows } from '../helpers/connect.ts'

const REDIRECT = 'http://localhost:4000/zoom/oauth/callback'
const START = 'https://app.example.com/start'
const INSERT_FLOWS = `
  INSERT INTO connect_flows (id, tenant_id, zoom_app_id, state_hash, browser_hash, redirect_uri, address, expires_at)
  SELECT gen_random_uuid(), $1, (SELECT id FROM zoom_apps LIMIT 1), sha256(i::text::bytea), '', '', $2,
         now() + interval '10 minutes' FROM generate_series(1, $3::int) i`

test('the PKCE challenge is that of RFC 7636, appendix B', () => {
  expect(pkceChallenge('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk')).toBe(
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
  )
})

test('opening a link leads to Zoom with state, PKCE and the app’s own redirect URI, and without a scope', async () => {
  const t = await buildTestApp()
  const url = new URL(await t.connectLink({ external_user_id: 'u' }))
  const headers = { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }
  const opened = await t.app.inject({ url: `${url.pathname}${url.search}&utm_source=mail`, headers })
  expect(opened.statusCode).toBe(302)
  const authorize = new URL(String(opened.headers.location))
  expect(authorize.origin + authorize.pathname).toBe(`${t.zoom.oauthBaseUrl}/oauth/authorize`)
  expect(Object.fromEntries(authorize.searchParams)).toEqual({
    response_type: 'code',
    client_id: CLIENT_ID,
    redirect_uri: REDIRECT,
    state: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
    code_challenge: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
    code_challenge_method: 'S256',
  })
})

test('state and binding are stored as hashes, the verifier sealed, and none of them is where it does not belong', async () => {
  const t = await buildTestApp()
  const { authorize, opened } = await t.open(await t.connectLink({ external_user_id: 'u' }))
  const state = authorize.searchParams.get('state') ?? ''
  const [cookie] = opened.cookies
  expect(cookie).toMatchObject({ path: '/zoom/oauth', httpOnly: true, sameSite: 'Lax', maxAge: 600 })
  expect(cookie?.name).toBe(`latchkey_flow_${sha256(state).toString('hex').slice(0, 8)}`)
  expect(cookie?.secure).toBeUndefined()
  const [flow] = await rows<Record<string, Buffer>>(t, 'SELECT * FROM connect_flows')
  expect(flow?.state_hash).toEqual(sha256(state))
  expect(flow?.browser_hash).toEqual(sha256(cookie?.value ?? ''))
  // the verifier is in no place that a browser sees: nothing there hashes to the challenge
  const challenge = authorize.searchParams.get('code_challenge')
  const seen = [...authorize.searchParams.values(), cookie?.value ?? '']
  expect(seen.map(pkceChallenge)).not.toContain(challenge)
  expect(pkceChallenge(String(flow?.verifier_ct))).not.toBe(challenge)
  expect(flow?.verifier_ct?.[0]).toBe(1) // an envelope of version 1
})

test('on https the cookie is Secure and carries the prefix that demands it', async () => {
  const t = await buildTestApp({ env: { PUBLIC_BASE_URL: 'https://bots.example.com' } })
  const { opened } = await t.open(await t.connectLink({ external_user_id: 'u' }))
  expect(opened.cookies[0]).toMatchObject({ secure: true, httpOnly: true, sameSite: 'Lax' })
  expect(opened.cookies[0]?.name).toMatch(/^__Secure-latchkey_flow_/)
  expect(opened.headers['strict-transport-security']).toBe('max-age=31536000')
})

test('production sends HSTS, keeps open connect closed and takes no return URL over http', async () => {
  const env = { NODE_ENV: 'production', PUBLIC_BASE_URL: 'https://bots.example.com', INSTALLATION_ID: 'tests' }
  const t = await buildTestApp({ env })
  const closed = await t.app.inject({ url: '/zoom/oauth' })
  expect(closed.statusCode).toBe(400)
  expect(closed.headers['strict-transport-security']).toBe('max-age=31536000')
  const body = { external_user_id: 'u', return_url: 'http://localhost:3000/' }
  expect((await t.api('POST', '/v1/connect-sessions', { body })).statusCode).toBe(400)
})

test('each opening is a new flow and voids the former one of the session; a scanner’s visit costs nothing', async () => {
  const t = await buildTestApp()
  const url = await t.connectLink({ external_user_id: 'u' })
  const scanner = await t.open(url)
  const person = await t.open(url)
  const state = (opened: typeof person) => opened.authorize.searchParams.get('state')
  expect(state(scanner)).not.toBe(state(person))
  expect(await rows(t, 'SELECT 1 FROM connect_flows')).toHaveLength(1)
  const former = await consent(t, scanner.authorize)
  const refused = await t.app.inject({ url: former.callback, headers: { cookie: scanner.cookie } })
  expect(refused.statusCode).toBe(400)
  expect(exchanges(t)).toEqual([])
  const { callback } = await consent(t, person.authorize)
  expect((await t.app.inject({ url: callback, headers: { cookie: person.cookie } })).statusCode).toBe(200)
})

test('of ten openings at once one flow is left', async () => {
  const t = await buildTestApp()
  const url = await t.connectLink({ external_user_id: 'u' })
  const opened = await Promise.all(Array.from({ length: 10 }, () => t.open(url)))
  expect(opened.map(({ opened }) => opened.statusCode)).toEqual(Array(10).fill(302))
  expect(await rows(t, 'SELECT 1 FROM connect_flows')).toHaveLength(1)
})

test('a session that is expired, spent, tampered with, empty, given twice or unknown: 400 and no flow', async () => {
  const t = await buildTestApp()
  const secretOf = async () => new URL(await t.connectLink({ external_user_id: 'u' })).searchParams.get('session') ?? ''
  const spent = await secretOf()
  await rows(t, 'UPDATE connect_sessions SET spent_at = now()')
  const expired = await secretOf()
  await rows(t, `UPDATE connect_sessions SET expires_at = now() WHERE secret_hash = $1`, [sha256(expired)])
  const living = await secretOf()
  const tampered = (living.startsWith('A') ? 'B' : 'A') + living.slice(1)
  for (const query of [
    `session=${expired}`,
    `session=${spent}`,
    `session=${tampered}`,
    'session=',
    `session=${living}&session=${living}`,
    `session=${living}%00`,
    `session=${living}%0d%0aSet-Cookie:%20a=b`,
    `session=${'x'.repeat(1500)}`,
  ]) {
    const refused = await t.app.inject({ url: `/zoom/oauth?${query}` })
    expect([query, refused.statusCode]).toEqual([query, 400])
    expect(refused.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(refused.headers['set-cookie']).toBeUndefined()
    expect(refused.body).not.toContain(living)
  }
  expect(await rows(t, 'SELECT 1 FROM connect_flows')).toEqual([])
})

test('without a session: open where that is allowed, else to INSTALL_START_URL, else 400', async () => {
  const open = await buildTestApp({ env: { OPEN_CONNECT: 'true', INSTALL_START_URL: START } })
  expect((await open.app.inject({ url: '/zoom/oauth' })).headers.location).toContain('/oauth/authorize?')
  const install = await buildTestApp({ env: { OPEN_CONNECT: 'false', INSTALL_START_URL: START } })
  const sent = await install.app.inject({ url: '/zoom/oauth' })
  expect([sent.statusCode, sent.headers.location, sent.headers['set-cookie']]).toEqual([302, START, undefined])
  const closed = await buildTestApp({ env: { OPEN_CONNECT: 'false' } })
  expect((await closed.app.inject({ url: '/zoom/oauth' })).statusCode).toBe(400)
  expect(await rows(closed, 'SELECT 1 FROM connect_flows')).toEqual([])
})

test('a page says so where no Zoom app is configured', async () => {
  const env = { ZOOM_OAUTH_APP_CLIENT_ID: '', ZOOM_OAUTH_APP_CLIENT_SECRET: '' }
  const t = await buildTestApp({ env })
  const refused = await t.app.inject({ url: '/zoom/oauth' })
  expect(refused.statusCode).toBe(409)
  expect(refused.body).toContain('app_not_configured')
})

test('100 unfinished flows of an address, or 5,000 of a tenant, and the next is told to wait; others are not', async () => {
  const t = await buildTestApp()
  const tenant = await newTenant(t)
  const url = new URL(await t.connectLink({ external_user_id: 'u' }, tenant.headers))
  const openFrom = (remoteAddress: string, path = '/zoom/oauth') => t.app.inject({ url: path, remoteAddress })
  await rows(t, INSERT_FLOWS, ['00000000-0000-7000-8000-000000000001', '192.0.2.1', 100])
  const waiting = await openFrom('192.0.2.1')
  expect(waiting.statusCode).toBe(429)
  expect(waiting.headers['retry-after']).toMatch(/^[1-9]/)
  expect(waiting.body).toContain('rate_limited')
  expect((await openFrom('192.0.2.2')).statusCode).toBe(302)
  await rows(t, 'DELETE FROM connect_flows')
  await rows(t, INSERT_FLOWS, ['00000000-0000-7000-8000-000000000001', '192.0.2.9', 5000])
  expect((await openFrom('192.0.2.3')).statusCode).toBe(429)
  expect((await openFrom('192.0.2.3', url.pathname + url.search)).statusCode).toBe(302)
  await rows(t, `UPDATE connect_flows SET expires_at = now()`)
  expect((await openFrom('192.0.2.3')).statusCode).toBe(302)
})

test('HEAD, POST, PUT, DELETE and OPTIONS on both routes are 405 and have no effect', async () => {
  const t = await buildTestApp()
  const url = new URL(await t.connectLink({ external_user_id: 'u' }))
  const { authorize, cookie } = await t.open(url.href)
  const { callback } = await consent(t, authorize)
  const before = await rows(t, 'SELECT * FROM connect_flows')
  for (const method of ['HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'] as const)
    for (const path of [url.pathname + url.search, callback]) {
      const refused = await t.app.inject({ method, url: path, headers: { cookie } })
      expect([method, refused.statusCode]).toEqual([method, 405])
    }
  expect(await rows(t, 'SELECT * FROM connect_flows')).toEqual(before)
  expect(exchanges(t)).toEqual([])
})

test('in a copy of another installation’s database nothing connects', async () => {
  const t = await buildTestApp()
  await rows(t, `UPDATE installations SET installation_id = 'the original'`)
  await t.services.installation.refresh()
  const refused = await t.open(await t.connectLink({ external_user_id: 'u' })).catch(() => null)
  expect(refused).toBeNull()
  expect((await t.app.inject({ url: '/zoom/oauth' })).statusCode).toBe(503)
  expect(await rows(t, 'SELECT 1 FROM connect_flows')).toEqual([])
})
