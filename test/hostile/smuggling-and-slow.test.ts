import { once } from 'node:events'
import type { Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { serverOptions } from '../../src/plugins/server-options.ts'
import { api, hostileApp, http, JSON_LINE, KEY_LINE, MARK, type Row } from '../helpers/hostile.ts'
import { expireAccessToken, grantRow, refreshCalls } from '../helpers/vault.ts'

const h = await hostileApp()
const { bot, t } = h
const server = t.app.server as Server
const BODY = '{"name":"n"}'
const framed =
  (...lines: string[]) =>
  () =>
    http('POST /v1/tenants', [KEY_LINE, JSON_LINE, ...lines], BODY)
const CHUNKS = `c\r\n${BODY}\r\n0\r\n\r\n`
const chunked =
  (...lines: string[]) =>
  () =>
    http('POST /v1/tenants', [KEY_LINE, JSON_LINE, ...lines], CHUNKS)
const lengths = (texts: string[]): Row[] =>
  texts.map((text) => [`#160 Content-Length ${JSON.stringify(text)}`, framed(`Content-Length: ${text}`), 400])
const encodings = (texts: string[]): Row[] =>
  texts.map((text) => [`#161 Transfer-Encoding ${JSON.stringify(text)}`, chunked(`Transfer-Encoding: ${text}`), 400])
const TE = 'Transfer-Encoding: chunked'

describe('a request whose end two servers could see in different places is 400:', () => {
  h.table([
    ['#160 a length and chunks', chunked('Content-Length: 5', TE), 400],
    ['#160 chunks and a length', chunked(TE, 'Content-Length: 5'), 400],
    ['#160 two lengths', framed('Content-Length: 12', 'Content-Length: 5'), 400],
    ['#160 the same length twice', framed('Content-Length: 12', 'Content-Length: 12'), 400],
    ...lengths(['+12', '0xc', '-1', '12,12', '12, 12', '1 2', '12;', '99999999999999999999', '1e1', '١٢']),
    ...encodings(['xchunked', 'chunked, identity', 'chunked, chunked', '\x0bchunked', 'identity', 'gzip', '"chunked"']),
    ['#161 two encodings', chunked(TE, 'Transfer-Encoding: identity'), 400],
    ['#161 a space before the colon', chunked('Transfer-Encoding : chunked'), 400],
    ['#161 a chunk’s size with a sign', () => chunked(TE)().replace('c\r\n', '+c\r\n'), 400],
    ['#161 a chunk’s size in 0x', () => chunked(TE)().replace('c\r\n', '0xc\r\n'), 400],
    ['#161 a chunk longer than it says', () => chunked(TE)().replace('c\r\n', '5\r\n'), 400],
    ['#161 chunks that end in bare LF', () => chunked(TE)().replace(CHUNKS, CHUNKS.replaceAll('\r\n', '\n')), 400],
    [
      '#162 a header block that ends in CR LF CR X',
      () => framed('Content-Length: 12')().replace('\r\n\r\n', '\r\n\rX'),
      400,
    ],
    ['#162 a request line of LF', () => framed('Content-Length: 12')().replace('HTTP/1.1\r\n', 'HTTP/1.1\n'), 400],
    ['#162 HTTP/1.2', () => framed('Content-Length: 12')().replace('HTTP/1.1', 'HTTP/1.2'), 400],
    ['#162 HTTP/0.9', () => `GET /v1/hosts\r\n\r\n`, 400],
    ['#162 chunks, which are right', chunked(TE), 201],
    ['#162 a length, which is right', framed('Content-Length: 12'), 201],
  ])
})

describe('a Host that is not ours leads nowhere else:', () => {
  const named = (host: string) => () =>
    api('POST', '/v1/connect-sessions', { external_user_id: 'u' }).replace('Host: localhost', `Host: ${host}`)
  const hosts = [
    'evil.example',
    '127.0.0.1',
    '[::1]',
    'evil.example:99999',
    'a'.repeat(300),
    'evil.example/x',
    'a@evil.example',
  ]
  h.table([
    ...hosts.map((host): Row => [`#171 ${host.slice(0, 30)}`, named(host), 201]),
    ['#171 an empty one', named(''), 201],
    ['#171 none', () => list().replace('Host: localhost\r\n', ''), 400],
    ['#171 two words', named('evil.example localhost'), 201],
  ])
  test.each(hosts)('#171 %s is in no URL that is handed out', async (host) => {
    const made = await h.judge(named(host)(), 201)
    const { url } = JSON.parse(made.body)
    expect(new URL(url).origin).toBe('http://localhost:4000')
    const { pathname, search } = new URL(url)
    const opened = await h.judge(http(`GET ${pathname}${search}`).replace('Host: localhost', `Host: ${host}`), 302)
    expect(opened.head).toContain(encodeURIComponent('http://localhost:4000/zoom/oauth/callback').toLowerCase())
    if (host.includes('evil')) expect(opened.head).not.toContain('evil')
  })
  h.counted(hosts.length)
})

const list = () => http('GET /v1/hosts', [KEY_LINE])
const keptAlive = (request: string) => request.replace('Connection: close\r\n', '')

function open(): Socket {
  const socket = connect(h.port, '127.0.0.1')
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}
async function all(socket: Socket): Promise<string> {
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  await once(socket, 'close')
  return received
}

test('#160 what follows a request that was refused for its framing is never read as another', async () => {
  const socket = open()
  socket.write(chunked('Content-Length: 5', TE)() + api('POST', '/v1/tenants', { name: MARK }))
  const received = await all(socket)
  expect(received.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400'])
  expect((await t.api('GET', '/v1/tenants?limit=200')).body).not.toContain(MARK)
  await h.expectAlive()
})

test('#163 a thousand requests in one go are answered in order', async () => {
  const socket = open()
  const paths = Array.from({ length: 999 }, (_, index) => (index % 3 === 0 ? '/healthz' : '/nothing'))
  socket.write(paths.map((path) => keptAlive(http(`GET ${path}`))).join('') + list())
  const received = await all(socket)
  const expected = [...paths.map((path) => (path === '/healthz' ? '200' : '404')), '200']
  expect(received.match(/(?<=HTTP\/1\.1 )\d+/g)).toEqual(expected)
  await h.expectAlive()
})

describe('a client that takes its time', () => {
  test('#164 #165 #166 has 10 s for its headers and 15 s for the whole request, looked at every second', () => {
    expect([server.headersTimeout, server.requestTimeout]).toEqual([10_000, 15_000])
    expect(serverOptions(t.app.config)).toMatchObject({ http: { connectionsCheckingInterval: 1000 } })
  })

  test('#164 #165 #166 with headers, a body or nothing at all is told so and closed, while others are served', async () => {
    const { headersTimeout, requestTimeout } = server
    // the server reads both at each look; ten real seconds would say no more than one
    Object.assign(server, { headersTimeout: 500, requestTimeout: 1000 })
    onTestFinished(() => void Object.assign(server, { headersTimeout, requestTimeout }))
    const silent = Array.from({ length: 200 }, open)
    const [headers, body] = [open(), open()]
    headers.write('GET /v1/hosts HTTP/1.1\r\nHost: local')
    body.write(http('POST /v1/tenants', [KEY_LINE, JSON_LINE, 'Content-Length: 100'], '{"na'))
    const drip = setInterval(() => {
      headers.write('x')
      body.write(' ')
    }, 100)
    onTestFinished(() => clearInterval(drip))
    const ends = Promise.all([all(headers), all(body), ...silent.map(all)])
    await h.expectAlive()
    const [ofHeaders = '', ofBody = '', ...ofSilent] = await ends
    expect([ofHeaders, ofBody].map((text) => text.split(' ')[1])).toEqual(['408', '408'])
    expect(new Set(ofSilent.map((text) => text.split(' ')[1]))).toEqual(new Set(['408']))
    await h.expectAlive()
  })
})

test('#169 clients that half-close, reset or vanish in the middle leave no waiter, no lease and no open row behind', async () => {
  h.nextSecond()
  await expireAccessToken(t, h.host)
  const before = refreshCalls(t, h.host)
  t.zoom.setFault({ match: { grant_type: 'refresh_token' }, action: { type: 'delay', ms: 300 } })
  const sockets = Array.from({ length: 60 }, open)
  for (const socket of sockets) socket.write(bot())
  await expect.poll(() => refreshCalls(t, h.host)).toBe(before + 1)
  for (const [index, socket] of sockets.entries()) {
    if (index % 3 === 0) socket.resetAndDestroy()
    else if (index % 3 === 1) socket.destroy()
    else socket.end()
  }
  for (let storm = 0; storm < 100; storm++) {
    const socket = open()
    await once(socket, 'connect')
    socket.write('GET /zoom/join-tok')
    socket.resetAndDestroy()
  }
  await h.expectAlive()
  expect(refreshCalls(t, h.host)).toBe(before + 1)
  expect(await grantRow(t, h.host)).toMatchObject({ isIntentOpen: false, leaseSeconds: 0, status: 'connected' })
  const connections = () => new Promise((resolve) => server.getConnections((_, count) => resolve(count)))
  await expect.poll(connections).toBe(0)
  await t.services.ledger.flush()
  const unknown = await t.api('GET', `/v1/mints?pass_id=${h.host.passId}&outcome=unknown`)
  expect(unknown.json().data).toEqual([])
})
h.counted(5)
