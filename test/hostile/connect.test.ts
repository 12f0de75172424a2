import { describe, expect, test } from 'vitest'
import { consent, exchanges, newTenant, RETURN_URL, readyToReturn, rows } from '../helpers/connect.ts'
import { api, hostileApp, http, MARK, type Row } from '../helpers/hostile.ts'
import { unique } from '../helpers/management.ts'

const h = await hostileApp()
const { t } = h
const STATE = 'A'.repeat(43)
const back = (query: string, ...lines: string[]) => http(`GET /zoom/oauth/callback?${query}`, lines)
const create = (more: object) => () => api('POST', '/v1/connect-sessions', { external_user_id: 'user', ...more })
const returnTo = (number: number, urls: unknown[]): Row[] =>
  urls.map((url) => [`#${number} ${JSON.stringify(url).slice(0, 60)}`, create({ return_url: url }), 400])

/** A flow of a Zoom user whom nobody else connects, agreed to. */
function freshFlow() {
  const externalUserId = unique()
  t.zoom.addUser({ email: `${externalUserId}@example.com` })
  return readyToReturn(t, { external_user_id: externalUserId }, `${externalUserId}@example.com`)
}

describe('a callback whose state cannot be one of ours exchanges no code:', () => {
  h.table([
    ['#99 no state and no code', () => back(''), 400, 'invalid_flow'],
    ['#99 an empty state', () => back('state=&code=abc'), 400, 'invalid_request'],
    ['#99 a state of 1 character', () => back('state=x&code=abc'), 400, 'invalid_request'],
    ['#99 a state of 10 KiB', () => back(`state=${MARK.repeat(800)}&code=abc`), 400, 'invalid_request'],
    ['#99 a state of 20 KiB', () => back(`state=${MARK.repeat(1600)}&code=abc`), 431, 'invalid_request'],
    ['#99 an unknown state', () => back(`state=${STATE}&code=abc`), 400, 'invalid_flow'],
    ['#99 an unknown state and no code', () => back(`state=${STATE}`), 400, 'invalid_flow'],
    ['#104 two states', () => back(`state=${STATE}&state=${STATE}&code=abc`), 400, 'invalid_request'],
    ['#104 two codes', () => back(`state=${STATE}&code=abc&code=abd`), 400, 'invalid_request'],
    ['#115 an error without a state', () => back(`error=${MARK}`), 400, 'invalid_flow'],
    ['#115 a script for an error', () => back(`state=${STATE}&error=%3Cimg%20onerror=${MARK}%3E`), 400, 'invalid_flow'],
    ['#117 a session that is none', () => http('GET /zoom/oauth?session=x'), 400, 'invalid_request'],
    ['#117 an unknown session', () => http(`GET /zoom/oauth?session=${STATE}`), 400, 'invalid_flow'],
    ['#117 two sessions', () => http(`GET /zoom/oauth?session=${STATE}&session=${STATE}`), 400, 'invalid_request'],
  ])
})

describe('a return_url that is no absolute https URL of one host is refused when the session is made:', () => {
  h.table([
    ...returnTo(105, ['javascript:alert(1)', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd']),
    ...returnTo(105, ['blob:https://app.example.com/1', 'JaVaScRiPt:alert(1)', ' javascript:alert(1)']),
    ...returnTo(106, ['https://app.example.com@evil.com', 'https://u:p@app.example.com', 'https://@app.example.com']),
    ...returnTo(107, ['http://app.example.com', 'http://127.0.0.1.evil.com/', 'http://localhost.evil.com/']),
    ...returnTo(108, ['https://app.example.com/ok\r\nSet-Cookie: a=b', 'https://app.example.com/\0']),
    ...returnTo(109, [`https://app.example.com/${'x'.repeat(3072)}`, '', ['https://app.example.com'], {}, null, 5]),
    ...returnTo(119, ['//evil.com', '///evil.com', '/\\evil.com', '\\\\evil.com', '/\t/evil.com', '/done']),
    ...returnTo(120, ['https://аpp.example.com/', 'https://app.example.com:99999/', 'https://']),
  ])
})

describe('where the tenant lists origins, another spelling of one passes and a look-alike does not:', async () => {
  const { headers } = await newTenant(t, { return_url_origins: ['https://app.example.com'] })
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  const to = (url: string) => () =>
    api('POST', '/v1/connect-sessions', { external_user_id: 'user', return_url: url }, lines)
  h.table([
    ['#120 an explicit :443', to('https://app.example.com:443/x'), 201],
    ['#120 in upper case', to('https://APP.EXAMPLE.COM/x'), 201],
    ['#120 a trailing dot', to('https://app.example.com./x'), 400],
    ['#120 another port', to('https://app.example.com:8443/x'), 400],
    ['#120 a longer host', to('https://app.example.com.evil.com/x'), 400],
    ['#120 a homograph in punycode', to('https://xn--pp-8kc.example.com/x'), 400],
    ['#120 the origin in the query', to('https://evil.com/?https://app.example.com'), 400],
  ])
})

describe('what stands in for a code', () => {
  const refused: [string, string][] = [
    ['CRLF', '%0d%0aSet-Cookie:%20a=b'],
    ['NUL', '%00'],
    ['letters beyond ASCII', '%C3%A9'],
    ['4 KiB', 'c'.repeat(4096)],
    ['empty', ''],
  ]
  test.each(refused)('#111 %s: never leaves the service, and the state lives on', async (_, code) => {
    const { state, cookie, comeBack } = await freshFlow()
    const before = exchanges(t).length
    await h.judge(back(`state=${state}&code=${code}`, `Cookie: ${cookie}`), 400, 'invalid_request')
    expect(exchanges(t).length).toBe(before)
    expect((await comeBack()).statusCode).toBe(200)
  })

  const sent = ['x', `"${MARK}'`, `%3Cscript%3E${MARK}`, `a%26grant_type=refresh_token%26x=${MARK}`]
  test.each(sent)('#111 %s: is asked for in the form body alone, never echoed, and uses the state up', async (code) => {
    const { state, cookie, comeBack } = await freshFlow()
    const [before, log] = [exchanges(t).length, t.log.length]
    const page = await t.app.inject({ url: `/zoom/oauth/callback?state=${state}&code=${code}`, headers: { cookie } })
    expect([page.statusCode, page.body.includes(MARK)]).toEqual([400, false])
    expect(exchanges(t).length).toBe(before + 1)
    expect(t.log.slice(log).join('')).not.toContain(MARK)
    expect((await comeBack()).statusCode).toBe(400)
  })
  h.counted(refused.length + sent.length)
})

test('#112 a code that was used before is a failed page, though state and cookie are right', async () => {
  const first = await freshFlow()
  expect((await first.comeBack()).statusCode).toBe(200)
  const second = await freshFlow()
  const page = await second.comeBack(`/zoom/oauth/callback?state=${second.state}&code=${first.code}`)
  expect([page.statusCode, page.body.includes('<dd>connect_failed</dd>')]).toEqual([400, true])
  expect((await second.comeBack()).statusCode).toBe(400)
})

test('#116 an iss beside the code, of another issuer, has no effect', async () => {
  const { callback, comeBack } = await freshFlow()
  expect((await comeBack(`${callback}&iss=https%3A%2F%2Fevil.example`)).statusCode).toBe(200)
})

test('#102 a state whose ten minutes are over is 400, and no code is exchanged', async () => {
  const { callback, cookie } = await freshFlow()
  await rows(t, 'UPDATE connect_flows SET expires_at = now()')
  await h.judge(http(`GET ${callback}`, [`Cookie: ${cookie}`]), 400, 'invalid_flow')
})

test('#103 a state of a tenant that was deleted meanwhile is 400, and no code is exchanged', async () => {
  const { id, headers } = await newTenant(t)
  const { authorize, cookie } = await t.open(
    await t.connectLink({ external_user_id: 'u', return_url: RETURN_URL }, headers),
  )
  const { callback } = await consent(t, authorize)
  expect((await t.api('DELETE', `/v1/tenants/${id}`)).statusCode).toBe(204)
  await h.judge(http(`GET ${callback}`, [`Cookie: ${cookie}`]), 400, 'invalid_flow')
})
h.counted(4)
