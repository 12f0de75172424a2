import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { OPERATOR_KEY, startTestApp, type TestApp } from '../helpers/app.ts'

const KEY_LINE = `Authorization: Bearer ${OPERATOR_KEY}`
let t: TestApp
let port: number

beforeAll(async () => {
  t = await startTestApp()
  port = Number(new URL(await t.app.listen({ port: 0, host: '127.0.0.1' })).port)
})
afterAll(() => t.stop())

/** Sends header lines as they are, which no client library would; gives status, content type and code of the answer. */
async function send(requestLine: string, ...lines: string[]) {
  const socket = connect(port, '127.0.0.1')
  socket.setTimeout(5000, () => socket.destroy(new Error('no answer')))
  socket.write([requestLine, ...lines, 'Connection: close', '', ''].join('\r\n'))
  let answer = ''
  for await (const chunk of socket) answer += chunk
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  const type = /^content-type: ([^;\r]+)/im.exec(head)?.[1]
  return [Number(head.split(' ')[1]), type, JSON.parse(body).code]
}
const refused = (status: number, code = 'invalid_request') => [status, 'application/problem+json', code]

test('what may come once and comes twice is refused: two servers on the way could each read another line', async () => {
  const list = 'GET /v1/hosts HTTP/1.1'
  expect(await send(list, 'Host: a', KEY_LINE)).toEqual([200, 'application/json', undefined])
  expect(await send(list, 'Host: a', 'HOST: b', KEY_LINE)).toEqual(refused(400))
  expect(await send(list, 'Host: a', KEY_LINE, KEY_LINE)).toEqual(refused(401, 'unauthenticated'))
  const tenant = 'Latchkey-Tenant: default'
  expect(await send(list, 'Host: a', KEY_LINE, tenant, tenant)).toEqual(refused(400))
})

test('a hundred header lines are read, more are refused as too many', async () => {
  const lines = Array.from({ length: 98 }, (_, index) => `X-Line-${index}: x`)
  const probe = 'GET /healthz HTTP/1.1'
  expect(await send(probe, 'Host: a', ...lines)).toEqual([200, 'application/json', undefined])
  expect(await send(probe, 'Host: a', ...lines, 'X-One-More: x')).toEqual(refused(431))
})

test('HTTP/1.0 is for probes alone', async () => {
  expect(await send('GET /healthz HTTP/1.0')).toEqual([200, 'application/json', undefined])
  expect(await send('GET /v1/hosts HTTP/1.0', KEY_LINE)).toEqual(refused(400))
})

test('what cannot be read as a request, or asks for what is not spoken here, hears so in a problem document', async () => {
  expect(await send('NONSENSE / HTTP/1.1', 'Host: a')).toEqual(refused(400))
  expect(await send('GET /%ff HTTP/1.1', 'Host: a')).toEqual(refused(400))
  expect(await send('GET /healthz HTTP/1.1', 'Host: a', `X-Long: ${'x'.repeat(17_000)}`)).toEqual(refused(431))
  expect(await send('GET /healthz HTTP/1.1', 'Host: a', 'Expect: tea')).toEqual(refused(417))
})

test('a request whose end can be read in two ways is refused: what stands behind it would be another for a proxy', async () => {
  const post = (...lines: string[]) => send('POST /v1/connect-sessions HTTP/1.1', 'Host: a', KEY_LINE, ...lines)
  expect(await post('Content-Length: 4', 'Transfer-Encoding: chunked')).toEqual(refused(400))
  expect(await post('Transfer-Encoding: chunked', 'Content-Length: 4')).toEqual(refused(400))
  expect(await post('Content-Length: 4', 'Content-Length: 5')).toEqual(refused(400))
  for (const length of ['+2', '-1', '0x2', '2,2']) expect(await post(`Content-Length: ${length}`)).toEqual(refused(400))
  for (const coding of ['xchunked', 'chunked, identity', '\x0bchunked'])
    expect(await post(`Transfer-Encoding: ${coding}`)).toEqual(refused(400))
  expect(await post('Content-Length : 4')).toEqual(refused(400))
  expect(await post('X-Folded: a', ' b')).toEqual(refused(400))
})
