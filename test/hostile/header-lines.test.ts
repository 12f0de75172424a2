import { describe, expect, test } from 'vitest'
import { api, exchange, hostileApp, http, JSON_LINE, KEY_LINE, MARK } from '../helpers/hostile.ts'

const h = await hostileApp()
const { bot, t } = h
const list = (...lines: string[]) => http('GET /v1/hosts', [KEY_LINE, ...lines])
const post = (...lines: string[]) => {
  const body = JSON.stringify({ external_user_id: 'user' })
  return http('POST /v1/connect-sessions', [KEY_LINE, ...lines, `Content-Length: ${body.length}`], body)
}
const many = (count: number) => Array.from({ length: count }, (_, index) => `X-Line-${index}: x`)

describe('header lines beyond the bounds are refused, and those within are not:', () => {
  h.table([
    ['#51 100 lines', () => list(...many(97)), 200],
    ['#51 101 lines', () => list(...many(98)), 431],
    ['#51 1,500 short lines, more than Node shows', () => list(...Array(1500).fill('a: b')), 431],
    ['#52 one of 9 KiB', () => list(`X-Long: ${MARK.repeat(700)}`), 200],
    ['#52 one of 17 KiB', () => list(`X-Long: ${MARK.repeat(1340)}`), 431],
    ['#58 a Cookie of 8 KiB', () => list(`Cookie: a=${MARK.repeat(600)}`), 200],
    ['#58 300 cookies', () => list(`Cookie: ${'a=b; '.repeat(300)}`), 200],
  ])
})

describe('header lines that two servers could read differently are 400:', () => {
  h.table([
    ['#53 a space before the colon', () => list('X-Mark : x'), 400],
    ['#53 a line folded', () => list(`X-Mark: a\r\n ${MARK}`), 400],
    ['#53 a NUL', () => list('X-Mark: a\0b'), 400],
    ['#53 a bare CR in a value', () => list('X-Mark: a\rX-Other: b'), 400],
    ['#53 a bare LF between lines', () => list('X-Mark: a\nX-Other: b'), 400],
    ['#53 a bare LF at the end', () => list('X-Mark: a\n'), 400],
    ['#53 bare LF throughout', () => list().replaceAll('\r\n', '\n'), 400],
    ['#53 a line without a colon', () => list('X-Mark'), 400],
    ['#54 two keys, the good one first', () => list('Authorization: Bearer x'), 401],
    ['#54 two keys, the good one last', () => http('GET /v1/hosts', ['Authorization: Bearer x', KEY_LINE]), 401],
    ['#55 two hosts', () => list('Host: evil.example'), 400],
    ['#56 two content types, JSON first', () => post(JSON_LINE, 'Content-Type: text/plain'), 400],
    ['#56 two content types, JSON last', () => post('Content-Type: text/plain', JSON_LINE), 400],
  ])
})

describe('what a header asks for that is not offered is ignored, and the answer the normal one:', () => {
  h.table([
    ['#59 X-HTTP-Method-Override', () => list('X-HTTP-Method-Override: DELETE'), 200],
    ['#61 Accept: image/png', () => bot({ lines: ['Accept: image/png'] }), 200],
    ['#61 a hundred encodings', () => bot({ lines: [`Accept-Encoding: ${'gzip, br, '.repeat(50)}identity`] }), 200],
    ['#62 Expect: 100-continue', () => post(JSON_LINE, 'Expect: 100-continue'), 201],
    ['#62 Expect: foo', () => list('Expect: foo'), 417],
    ['#63 an upgrade to a WebSocket', () => upgrade('websocket'), 200],
    ['#63 an upgrade to h2c', () => upgrade('h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'), 200],
    ['#63 the preface of HTTP/2', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ])
})

const upgrade = (to: string, ...lines: string[]) =>
  list(`Upgrade: ${to}`, ...lines).replace('Connection: close', 'Connection: Upgrade')

test('#57 the flow cookie on two lines with two values is 400, and no code is exchanged', async () => {
  const { authorize, cookie } = await t.open(await t.connectLink({ external_user_id: 'twice' }))
  const state = authorize.searchParams.get('state')
  const [name] = cookie.split('=')
  const back = `GET /zoom/oauth/callback?state=${state}&code=abc`
  const other = `Cookie: ${name}=${'x'.repeat(43)}`
  await h.judge(http(back, [`Cookie: ${cookie}`, other]), 400, 'invalid_flow')
  await h.judge(http(back, [other, `Cookie: ${cookie}`]), 400, 'invalid_flow')
})

test('#60 X-Forwarded-* of whoever calls change no address in the log, no URL and no cookie', async () => {
  const forged = ['X-Forwarded-For: 203.0.113.7', 'X-Forwarded-Host: evil.example', 'X-Forwarded-Proto: https']
  const logBefore = t.log.length
  const made = await h.judge(api('POST', '/v1/connect-sessions', { external_user_id: 'u' }, forged), 201)
  const url = new URL(JSON.parse(made.body).url)
  expect(url.origin).toBe('http://localhost:4000')
  const opened = await h.judge(http(`GET ${url.pathname}${url.search}`, forged), 302)
  expect(opened.head).not.toMatch(/evil|secure/)
  expect(t.log.slice(logBefore).join('')).not.toMatch(/203\.0\.113\.7|evil/)
})

test('#61 a token is never compressed', async () => {
  const answer = await exchange(h.port, bot({ lines: ['Accept-Encoding: gzip, br'] }))
  expect([answer.status, answer.head.includes('content-encoding')]).toEqual([200, false])
})

h.counted(3)
