import { expect, test } from 'vitest'
import { buildTestApp } from '../helpers/app.ts'
import { consent, exchanges, HOST, newTenant, OTHER_HOST, RETURN_URL, readyToReturn, rows } from '../helpers/connect.ts'

const START = 'https://app.example.com/start'
const UNKNOWN_STATE = 'A'.repeat(43)

test('coming back connects the host, stores its scopes and shows which account, which tenant, and how to disconnect', async () => {
  const t = await buildTestApp()
  const { headers } = await newTenant(t, { name: 'Acme <b>& Söhne</b>' })
  const page = await t.follow(await t.connectLink({ external_user_id: 'user-1' }, headers), HOST)
  expect(page.statusCode).toBe(200)
  expect(page.body).toContain(HOST)
  expect(page.body).toContain('Acme &lt;b&gt;&amp; Söhne&lt;/b&gt;')
  expect(page.body).toContain('Added Apps')
  expect(page.headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'content-security-policy': expect.stringMatching(
      /^default-src 'none'; style-src 'sha256-[^ ']+'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'$/,
    ),
  })
  const [host] = (await t.api('GET', '/v1/hosts', { headers })).json().data
  expect(host).toMatchObject({ external_user_id: 'user-1', email: HOST, status: 'connected', missing_scopes: [] })
  expect(host.scopes).toContain('user:read:token')
})

test('the cookie is cleared, the verifier erased and the session spent: the same link is then worth nothing', async () => {
  const t = await buildTestApp()
  const { url, comeBack, cookie } = await readyToReturn(t)
  const done = await comeBack()
  expect(done.statusCode).toBe(200)
  const [cleared] = done.cookies
  expect(cookie).toContain(`${cleared?.name}=`)
  expect(cleared).toMatchObject({ value: '', maxAge: 0, path: '/zoom/oauth' })
  const [flow] = await rows(t, 'SELECT verifier_ct, consumed_at FROM connect_flows')
  expect(flow).toEqual({ verifier_ct: null, consumed_at: expect.any(Date) })
  const { pathname, search } = new URL(url)
  expect((await t.app.inject({ url: pathname + search })).statusCode).toBe(400)
})

test('a return URL is told host_id and nothing else of the flow, beside what it already held', async () => {
  const t = await buildTestApp()
  const { comeBack } = await readyToReturn(t, { return_url: RETURN_URL })
  const sent = await comeBack()
  const [host] = (await t.api('GET', '/v1/hosts')).json().data
  expect(sent.statusCode).toBe(302)
  expect(sent.headers.location).toBe(`${RETURN_URL}&status=connected&host_id=${host.id}`)
  expect(sent.headers['referrer-policy']).toBe('no-referrer')
})

test('in another browser, without the cookie, with one of another flow or with two: 400, no exchange, no row changes', async () => {
  const t = await buildTestApp()
  const { comeBack, callback, cookie, state } = await readyToReturn(t)
  const other = await readyToReturn(t, { external_user_id: 'user-2' })
  const before = await rows(t, 'SELECT * FROM connect_flows ORDER BY id')
  const [name, value] = cookie.split('=')
  for (const sent of ['', other.cookie, `${name}=x`, `${name}=`, `${cookie}; ${name}=${'x'.repeat(43)}`]) {
    const refused = await comeBack(callback, { cookie: sent })
    expect([sent, refused.statusCode]).toEqual([sent, 400])
    expect(refused.body).toContain('invalid_flow')
    expect(refused.body).not.toContain(state)
  }
  expect(exchanges(t)).toEqual([])
  expect(await rows(t, 'SELECT * FROM connect_flows ORDER BY id')).toEqual(before)
  expect(value).toHaveLength(43)
  expect((await comeBack()).statusCode).toBe(200)
})

test('a missing, empty, short, unknown, repeated or overlong state, and a repeated code: 400 and no exchange', async () => {
  const t = await buildTestApp({ env: { INSTALL_START_URL: START } })
  const { comeBack, code, state } = await readyToReturn(t)
  for (const query of [
    '',
    `state=&code=${code}`,
    `state=x&code=${code}`,
    `state=${UNKNOWN_STATE}&code=${code}`,
    `state=${state}&state=${state}&code=${code}`,
    `state=${state}&code=${code}&code=${code}`,
    `state[]=${state}&code=${code}&error=x`,
    `state=${'x'.repeat(1500)}&code=${code}`,
    'error=access_denied',
  ]) {
    const refused = await comeBack(`/zoom/oauth/callback?${query}`)
    expect([query, refused.statusCode]).toEqual([query, 400])
    expect(refused.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(refused.body).not.toContain(code)
  }
  expect(exchanges(t)).toEqual([])
  expect((await comeBack()).statusCode).toBe(200)
})

test('a code without a state (an install from the Marketplace) goes to INSTALL_START_URL, else 400; it is never exchanged', async () => {
  const set = await buildTestApp({ env: { INSTALL_START_URL: START } })
  const sent = await set.app.inject({ url: '/zoom/oauth/callback?code=abc' })
  expect([sent.statusCode, sent.headers.location]).toEqual([302, START])
  const unset = await buildTestApp()
  expect((await unset.app.inject({ url: '/zoom/oauth/callback?code=abc' })).statusCode).toBe(400)
  expect([...exchanges(set), ...exchanges(unset)]).toEqual([])
})

test('the same callback fifty times in parallel makes one exchange and one success', async () => {
  const t = await buildTestApp()
  const { comeBack } = await readyToReturn(t)
  const answers = await Promise.all(Array.from({ length: 50 }, () => comeBack()))
  expect(answers.filter(({ statusCode }) => statusCode === 200)).toHaveLength(1)
  expect(answers.filter(({ statusCode }) => statusCode === 400)).toHaveLength(49)
  expect((await comeBack()).statusCode).toBe(400)
  expect(exchanges(t)).toHaveLength(1)
})

test('an expired flow, an expired or spent session and a deleted tenant end a state: 400 and no exchange', async () => {
  const t = await buildTestApp()
  const { id, headers } = await newTenant(t)
  const endings = [
    `UPDATE connect_flows SET expires_at = now()`,
    `UPDATE connect_sessions SET expires_at = now()`,
    `UPDATE connect_sessions SET spent_at = now()`,
  ]
  for (const ending of endings) {
    const { comeBack } = await readyToReturn(t)
    await rows(t, ending)
    expect([ending, (await comeBack()).statusCode]).toEqual([ending, 400])
  }
  const { authorize, cookie } = await t.open(await t.connectLink({ external_user_id: 'u' }, headers))
  expect((await t.api('DELETE', `/v1/tenants/${id}`)).statusCode).toBe(204)
  const { callback } = await consent(t, authorize)
  expect((await t.app.inject({ url: callback, headers: { cookie } })).statusCode).toBe(400)
  expect(exchanges(t)).toEqual([])
})

test('a flow lives ten minutes', async () => {
  const t = await buildTestApp()
  await readyToReturn(t)
  const [life] = await rows(t, 'SELECT extract(epoch FROM expires_at - created_at)::int AS seconds FROM connect_flows')
  expect(life).toEqual({ seconds: 600 })
})

test('a state connects only for the tenant and the user it was made for', async () => {
  const t = await buildTestApp()
  const a = await newTenant(t, { name: 'A' })
  const b = await newTenant(t, { name: 'B' })
  const { authorize, cookie } = await t.open(await t.connectLink({ external_user_id: 'of-a' }, a.headers))
  const { callback } = await consent(t, authorize)
  const path = `${callback}&tenant_id=${b.id}&external_user_id=of-b&redirect_uri=https://evil.example`
  const page = await t.app.inject({ url: path, headers: { cookie, ...b.headers } })
  expect(page.statusCode).toBe(200)
  expect((await t.api('GET', '/v1/hosts', { headers: b.headers })).json().data).toEqual([])
  const [host] = (await t.api('GET', '/v1/hosts', { headers: a.headers })).json().data
  expect(host.external_user_id).toBe('of-a')
})

test('a declined consent uses the state up, asks Zoom nothing and never shows what came with it', async () => {
  const t = await buildTestApp()
  for (const [error, code] of [
    ['access_denied', 'access_denied'],
    ['server_error', 'connect_failed'],
    ['<img src=x onerror=alert(1)>', 'connect_failed'],
    ['', 'connect_failed'],
  ]) {
    const { comeBack, state } = await readyToReturn(t)
    const query = new URLSearchParams({ error: error ?? '', error_description: 'DESCRIPTION', state })
    const page = await comeBack(`/zoom/oauth/callback?${query}`)
    expect([error, page.statusCode]).toEqual([error, 400])
    expect(page.body).toContain(`<dd>${code}</dd>`)
    expect(page.body).not.toMatch(/DESCRIPTION|<img|server_error/)
    expect((await comeBack()).statusCode).toBe(400)
  }
  const { comeBack, state } = await readyToReturn(t, { return_url: RETURN_URL })
  const sent = await comeBack(`/zoom/oauth/callback?error=access_denied&state=${state}`)
  expect(sent.headers.location).toBe(`${RETURN_URL}&status=failed&code=access_denied`)
  expect(exchanges(t)).toEqual([])
})

test('a callback that is both success and failure, or neither, is refused and uses the state up', async () => {
  const t = await buildTestApp()
  for (const query of ['code=abc&error=access_denied', '', 'other=1']) {
    const { comeBack, state } = await readyToReturn(t)
    const refused = await comeBack(`/zoom/oauth/callback?state=${state}&${query}`)
    expect([query, refused.statusCode]).toEqual([query, 400])
    expect((await comeBack()).statusCode).toBe(400)
  }
  expect(exchanges(t)).toEqual([])
})

test('the session survives a failed try: the link opens again, and then connects', async () => {
  const t = await buildTestApp()
  const { url, comeBack, state } = await readyToReturn(t)
  expect((await comeBack(`/zoom/oauth/callback?error=access_denied&state=${state}`)).statusCode).toBe(400)
  expect((await t.follow(url, OTHER_HOST)).statusCode).toBe(200)
})
