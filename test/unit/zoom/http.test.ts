import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { MockAgent } from 'undici'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { sleep } from '../../../src/lib/deadline.ts'
import { createZoomHttp, type ZoomHttp, type ZoomRequest, ZoomTransportError } from '../../../src/zoom/http.ts'
import { jsonAnswer, startRawServer } from '../../helpers/raw-server.ts'

const SECRET = 'rt-canary-8d1f'
const GET: ZoomRequest = { method: 'GET', path: '/users/me', headers: { authorization: `Bearer ${SECRET}` } }
const POST: ZoomRequest = { method: 'POST', path: '/oauth/token', form: { refresh_token: SECRET } }

function client(baseUrl: string, { timeoutMs = 5000, connections = 4 } = {}): ZoomHttp {
  const http = createZoomHttp({ baseUrl, timeoutMs, connections })
  onTestFinished(() => http.close())
  return http
}

async function faultOf(sending: Promise<unknown>): Promise<ZoomTransportError> {
  const error = await sending.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof ZoomTransportError)) throw new Error('expected a ZoomTransportError', { cause: error })
  expect(`${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`).not.toContain(SECRET)
  return error
}

describe('a complete answer', () => {
  test('is returned with its status, headers and JSON, whatever the status', async () => {
    const server = await startRawServer((socket) =>
      socket.write(jsonAnswer(404, { code: 3001 }, 'X-Twice: a\r\nX-Twice: b\r\n')),
    )
    const reply = await client(`${server.url}/v2/`).send({ ...GET, query: { type: 'zak', ttl: '300' } })
    expect(reply).toMatchObject({ status: 404, body: { code: 3001 }, headers: { 'x-twice': 'a, b' } })
    expect(server.requests[0]).toMatch(/^GET \/v2\/users\/me\?type=zak&ttl=300 HTTP\/1\.1\r\n/)
    expect(server.requests[0]).toMatch(/\r\naccept-encoding: identity\r\n/)
  })

  test('of a form is sent as one, and its connection is not used again', async () => {
    const server = await startRawServer((socket) => socket.write(jsonAnswer(200, {})))
    const http = client(server.url)
    await http.send({ ...POST, form: { a: 'x y', b: '&=+' } })
    await http.send(POST)
    expect(server.requests[0]).toMatch(
      /content-type: application\/x-www-form-urlencoded\r\n[\s\S]*\r\n\r\na=x\+y&b=%26%3D%2B$/,
    )
    expect(server.connections).toBe(2)
  })

  test('to GETs comes over one kept connection', async () => {
    const server = await startRawServer((socket) => socket.write(jsonAnswer(200, {})))
    const http = client(server.url)
    await http.send(GET)
    await setImmediate() // the pool takes a connection back one turn after its answer
    await http.send(GET)
    expect([server.requests.length, server.connections]).toEqual([2, 1])
  })

  test.each([
    ['HTML', '<html>maintenance</html>'],
    ['nothing', ''],
    ['cut JSON', '{"token":"ab'],
    ['invalid UTF-8', '{"a":"\xff"}'],
  ])('that is %s has no body', async (_what, text) => {
    const server = await startRawServer((socket) => {
      socket.write(Buffer.from(`HTTP/1.1 503 X\r\ncontent-length: ${text.length}\r\n\r\n${text}`, 'latin1'))
    })
    expect(await client(server.url).send(GET)).toMatchObject({ status: 503, body: undefined })
  })

  test('may come after 103 Early Hints', async () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'
    const server = await startRawServer((socket) => socket.write(hints + jsonAnswer(200, { token: 't' })))
    expect(await client(server.url).send(GET)).toMatchObject({ status: 200, body: { token: 't' } })
  })

  test.each([301, 302, 303, 307, 308])('with %i is returned and not followed', async (status) => {
    const elsewhere = await startRawServer((socket) => socket.write(jsonAnswer(200, { token: 'stolen' })))
    const server = await startRawServer((socket) =>
      socket.write(jsonAnswer(status, {}, `location: ${elsewhere.url}/\r\n`)),
    )
    expect((await client(server.url).send(POST)).status).toBe(status)
    expect(elsewhere.requests).toEqual([])
  })
})

describe('no answer that can be believed', () => {
  test.each([
    ['gzip', 'gzip', gzipSync('{}')],
    ['a bomb', 'gzip', gzipSync(Buffer.alloc(20_000_000))],
    ['brotli', 'br', Buffer.from('x')],
  ])('an encoded body (%s) is refused, and its socket destroyed', async (_what, encoding, bytes) => {
    const server = await startRawServer((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: ${encoding}\r\ncontent-length: ${bytes.length}\r\n\r\n`)
      socket.write(bytes)
    })
    expect(await faultOf(client(server.url).send(GET))).toMatchObject({ kind: 'broken', code: 'ENCODED' })
    await vi.waitFor(() => expect(server.sockets.size).toBe(0))
  })

  test('a body is cut at 64 KiB while it still comes', async () => {
    const server = await startRawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      const pour = () => {
        while (socket.writable && socket.write(`10000\r\n${'x'.repeat(65_536)}\r\n`));
        socket.once('drain', pour)
      }
      pour()
    })
    expect(await faultOf(client(server.url).send(GET))).toMatchObject({ kind: 'broken', code: 'OVERSIZED' })
    await vi.waitFor(() => expect(server.sockets.size).toBe(0))
  })

  test('a body of exactly 64 KiB is read', async () => {
    const body = 'x'.repeat(65_536 - 2)
    const server = await startRawServer((socket) => socket.write(jsonAnswer(200, body)))
    expect((await client(server.url).send(GET)).body).toBe(body)
  })

  test.each([
    ['fewer bytes than announced', 'HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"access_token":"a"}'],
    ['chunks without an end', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"a":\r\n'],
    ['no answer at all', ''],
    ['something that is not HTTP', 'SSH-2.0-x\r\n'],
    [
      '300 headers',
      `HTTP/1.1 200 OK\r\n${'x-padding: 0123456789012345678901234567890123456789\r\n'.repeat(600)}\r\n{}`,
    ],
  ])('%s is broken', async (_what, bytes) => {
    const server = await startRawServer((socket) => socket.end(bytes))
    expect((await faultOf(client(server.url).send(POST))).kind).toBe('broken')
    expect(server.requests.length).toBe(1)
  })

  test('a reset after the request was sent is broken, and a POST is not sent again', async () => {
    const server = await startRawServer((socket) => socket.resetAndDestroy())
    expect((await faultOf(client(server.url).send(POST))).kind).toBe('broken')
    expect(server.requests.length).toBe(1)
  })
})

describe('one deadline', () => {
  test('covers a hang before the headers', async () => {
    const server = await startRawServer(() => {})
    const startedAt = performance.now()
    const fault = await faultOf(client(server.url).send({ ...GET, timeoutMs: 60 }))
    expect([fault.kind, fault.isTimeout]).toEqual(['timeout', true])
    expect(performance.now() - startedAt).toBeLessThan(1000)
    await vi.waitFor(() => expect(server.sockets.size).toBe(0))
  })

  test('covers a body that drips for ever', async () => {
    const server = await startRawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n')
      const drip = setInterval(() => socket.write('x'), 5)
      socket.once('close', () => clearInterval(drip))
    })
    expect((await faultOf(client(server.url, { timeoutMs: 60 }).send(GET))).kind).toBe('timeout')
    await vi.waitFor(() => expect(server.sockets.size).toBe(0))
  })

  test('that ran out while the process was blocked still reads the answer that lies there', async () => {
    const server = await startRawServer((socket) => socket.write(jsonAnswer(200, { refresh_token: 'new' })))
    const sending = client(server.url).send({ ...POST, timeoutMs: 40 })
    await vi.waitFor(() => expect(server.requests.length).toBe(1), { interval: 1 })
    const untilMs = performance.now() + 80
    while (performance.now() < untilMs); // the loop is blocked past the deadline
    expect(await sending).toMatchObject({ status: 200, body: { refresh_token: 'new' } })
  })
})

describe('provably not sent', () => {
  test('a refused connection', async () => {
    expect(await faultOf(client('http://127.0.0.1:1').send(POST))).toMatchObject({
      kind: 'not_sent',
      code: 'ECONNREFUSED',
    })
  })

  test('a name that does not resolve', async () => {
    expect(await faultOf(client('http://zoom.invalid').send(POST))).toMatchObject({
      kind: 'not_sent',
      isTimeout: false,
    })
  })

  test('a failed TLS handshake', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1') // has no certificate
    onTestFinished(() => void server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    const fault = await faultOf(client(`https://127.0.0.1:${(server.address() as AddressInfo).port}`).send(POST))
    expect(fault.kind).toBe('not_sent')
  })

  test('a request that could not be written at all', async () => {
    const http = client('http://127.0.0.1:1')
    expect((await faultOf(http.send({ ...GET, headers: { authorization: 'Bearer a\r\nb' } }))).kind).toBe('not_sent')
  })

  test('a deadline that ends in the queue: it is not sent later either', async () => {
    const { promise: isReleased, resolve: release } = Promise.withResolvers<void>()
    const server = await startRawServer((socket) => void isReleased.then(() => socket.write(jsonAnswer(200, {}))))
    const http = client(server.url, { connections: 1 })
    const first = http.send(GET)
    const queued = faultOf(http.send({ ...POST, timeoutMs: 20 }))
    expect(await queued).toMatchObject({ kind: 'not_sent', code: 'DEADLINE', isTimeout: true })
    release()
    await first
    await http.send(GET)
    expect(server.requests.map((request) => request.slice(0, 4))).toEqual(['GET ', 'GET '])
  })
})

test('a POST that waited too long for its connection is not sent: it would end in doubt', async () => {
  const server = await startRawServer((socket) => void sleep(150).then(() => socket.write(jsonAnswer(200, {}))))
  const http = client(server.url, { connections: 1 })
  const first = http.send(GET)
  expect(await faultOf(http.send({ ...POST, timeoutMs: 200 }))).toMatchObject({ kind: 'not_sent', code: 'DEADLINE' })
  await first
  await http.send(GET)
  expect(server.requests.map((request) => request.slice(0, 4))).toEqual(['GET ', 'GET '])
})

test('a dispatcher that is handed in is used, and left open', async () => {
  const agent = new MockAgent()
  agent.disableNetConnect()
  agent.get('https://zoom.test').intercept({ path: '/v2/users/me' }).reply(200, { id: 'u' })
  const http = createZoomHttp({ baseUrl: 'https://zoom.test/v2', timeoutMs: 1000, dispatcher: agent })
  expect(await http.send(GET)).toMatchObject({ status: 200, body: { id: 'u' } })
  await http.close()
  agent.get('https://zoom.test').intercept({ path: '/v2/users/me' }).reply(200, { id: 'again' })
  expect(await http.send(GET)).toMatchObject({ body: { id: 'again' } })
  await agent.close()
})

test('closing waits for what is under way', async () => {
  const server = await startRawServer(
    (socket) => void setImmediate().then(() => socket.write(jsonAnswer(200, { token: 't' }))),
  )
  const http = createZoomHttp({ baseUrl: server.url, timeoutMs: 5000 })
  const sending = http.send(GET)
  await http.close()
  expect((await sending).status).toBe(200)
  expect((await faultOf(http.send(GET))).kind).toBe('not_sent')
})
