import { expect, test } from 'vitest'
import { buildTestApp } from '../helpers/app.ts'
import { CLIENT_ID, consent, exchanges, HOST, OTHER_HOST, RETURN_URL, readyToReturn, rows } from '../helpers/connect.ts'

const TROUBLE = [
  ['a used or unknown code', { type: 'zoom_error', code: 4734 }, 400, 'connect_failed'],
  ['an expired code', { type: 'zoom_error', code: 4733 }, 400, 'connect_failed'],
  ['a refused app', { type: 'zoom_error', code: 4717 }, 503, 'app_misconfigured'],
  ['a 500', { type: 'status', status: 500 }, 502, 'zoom_unavailable'],
  ['HTML', { type: 'html' }, 502, 'zoom_unavailable'],
  ['a reset', { type: 'reset' }, 502, 'zoom_unavailable'],
  ['a reply without a refresh token', { type: 'omit', field: 'refresh_token' }, 502, 'zoom_unavailable'],
] as const

test('each trouble at the token endpoint ends in the page of its code, and the state stays used', async () => {
  const t = await buildTestApp()
  for (const [trouble, action, status, code] of TROUBLE) {
    const { comeBack } = await readyToReturn(t)
    t.zoom.setFault({ match: { path: '/oauth/token' }, times: 1, action })
    const page = await comeBack()
    expect([trouble, page.statusCode]).toEqual([trouble, status])
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(page.body).toContain(`<dd>${code}</dd>`)
    const again = await comeBack()
    expect([again.statusCode, again.body.includes('<dd>invalid_flow</dd>')]).toEqual([400, true])
  }
  expect(exchanges(t)).toHaveLength(TROUBLE.length)
  expect(await rows(t, 'SELECT 1 FROM grants')).toEqual([])
})

test('a wrong client secret is the app’s fault, and a return URL is told so', async () => {
  const t = await buildTestApp({ env: { ZOOM_OAUTH_APP_CLIENT_SECRET: 'wrong' } })
  const { comeBack } = await readyToReturn(t, { return_url: RETURN_URL })
  expect((await comeBack()).headers.location).toBe(`${RETURN_URL}&status=failed&code=app_misconfigured`)
})

test('an attacker’s code in the victim’s flow fails at PKCE, and nothing is linked', async () => {
  const t = await buildTestApp()
  const attacker = await readyToReturn(t, { external_user_id: 'attacker' }, OTHER_HOST)
  const victim = await readyToReturn(t, { external_user_id: 'victim' }, HOST)
  const page = await victim.comeBack(`/zoom/oauth/callback?state=${victim.state}&code=${attacker.code}`)
  expect([page.statusCode, page.body.includes('<dd>connect_failed</dd>')]).toEqual([400, true])
  expect((await t.api('GET', '/v1/hosts')).json().data).toEqual([])
})

test('a code of another Zoom app is refused', async () => {
  const t = await buildTestApp()
  t.zoom.addApp({ client_id: 'another', client_secret: 'secret' })
  const { comeBack, authorize, state } = await readyToReturn(t)
  const elsewhere = new URL(authorize)
  elsewhere.searchParams.set('client_id', 'another')
  const { code } = await consent(t, elsewhere)
  const page = await comeBack(`/zoom/oauth/callback?state=${state}&code=${code}`)
  expect(page.body).toContain('<dd>connect_failed</dd>')
})

test('whatever stands in for a code is sent in the form body alone, or refused, and never echoed', async () => {
  const t = await buildTestApp()
  for (const code of ['x', '\r\nX: y', '\u0000', 'ü', `"'`, '<script>alert(1)</script>', 'x'.repeat(1100)]) {
    const { comeBack, state } = await readyToReturn(t)
    const page = await comeBack(`/zoom/oauth/callback?${new URLSearchParams({ state, code })}`)
    expect([code, page.statusCode]).toEqual([code, 400])
    expect(page.body).not.toContain('<script')
  }
  for (const { query } of exchanges(t)) expect(query).toEqual({})
})

test('the redirect URI of both legs is the configured one, whatever the headers say', async () => {
  const redirect = 'https://bots.example.com/zoom/oauth/callback'
  const t = await buildTestApp({ env: { ZOOM_OAUTH_APP_REDIRECT_URI: redirect } })
  t.zoom.addApp({ client_id: CLIENT_ID, redirect_uris: [redirect] })
  const { comeBack, authorize, callback, cookie } = await readyToReturn(t)
  expect(authorize.searchParams.get('redirect_uri')).toBe(redirect)
  const headers = { cookie, host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' }
  expect((await comeBack(callback, headers)).statusCode).toBe(200)
})

test('api_url and iss of an answer lead nowhere', async () => {
  const t = await buildTestApp()
  const { comeBack, callback } = await readyToReturn(t)
  const action = { type: 'set', fields: { api_url: 'http://evil.example' } } as const
  t.zoom.setFault({ match: { path: '/oauth/token' }, action })
  expect((await comeBack(`${callback}&iss=https://evil.example`)).statusCode).toBe(200)
})

test('neither the log nor any page holds a code, a token, a state, a session or a cookie', async () => {
  const t = await buildTestApp()
  const first = await readyToReturn(t)
  const pages = [await first.comeBack(), await first.comeBack()]
  const failed = await readyToReturn(t, { expected_email: 'nobody@example.com' })
  pages.push(await failed.comeBack())
  t.zoom.setFault({ match: { path: '/oauth/token' }, action: { type: 'status', status: 500 } })
  const third = await readyToReturn(t)
  pages.push(await third.comeBack())
  const flows = [first, failed, third]
  const secrets = flows.flatMap(({ url, state, cookie }) => [
    url.split('=')[1] ?? '',
    state,
    cookie.split('=')[1] ?? '',
  ])
  const seen = [...t.log, ...pages.map(({ body }) => body)].join('\n')
  for (const secret of [...secrets, ...t.zoom.issued.map(({ value }) => value)]) {
    expect(secret.length).toBeGreaterThan(20)
    expect(seen).not.toContain(secret)
  }
})
