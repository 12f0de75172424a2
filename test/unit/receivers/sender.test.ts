import { createHmac, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createWebhookSender, type SenderOptions } from '../../../src/receivers/sender.ts'
import { selfSigned } from '../../helpers/self-signed.ts'

const KEY = randomBytes(32)
const EVENT = { id: 'event-1', timestampSeconds: 1_764_000_000, body: '{"type":"host.connected","ü":"✓"}' }

async function listen(server: Server, address = '127.0.0.1', port = 0): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, address, resolve))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

interface Seen {
  method: string | undefined
  url: string | undefined
  headers: IncomingMessage['headers']
  body: Buffer
}
/** A receiver that notes what it got and answers as told. */
async function receiver(answer: (response: ServerResponse) => void = (response) => response.end(), address?: string) {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const { method, url, headers } = request
      seen.push({ method, url, headers, body: Buffer.concat(chunks) })
      answer(response)
    })
  })
  return { seen, port: await listen(server, address) }
}
function sender(options: Partial<SenderOptions> = {}) {
  const made = createWebhookSender({ allowsLoopback: true, deadlineMs: 2000, ...options })
  onTestFinished(() => made.close())
  return (url: string, event: Partial<typeof EVENT> & { secrets?: Buffer[] } = {}) =>
    made.send({ ...EVENT, secrets: [KEY], url, ...event })
}
const at = (...addresses: string[]) => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))

describe('what a receiver gets', () => {
  test('is one POST of the very bytes that are signed, by the headers of Standard Webhooks', async () => {
    const { seen, port } = await receiver((response) => response.writeHead(204).end())
    const [newer, older] = [randomBytes(32), randomBytes(32)]
    const outcome = await sender()(`http://127.0.0.1:${port}/hook?a=%2F..&b`, { secrets: [newer, older] })
    expect(outcome).toEqual({ outcome: 'delivered', status: 204 })
    expect(seen).toHaveLength(1)
    const [{ method, url, headers, body }] = seen as [Seen]
    expect([method, url, headers['content-type'], headers['user-agent']]).toEqual([
      'POST',
      '/hook?a=%2F..&b',
      'application/json',
      'Latchkey-Webhooks/1',
    ])
    expect([headers['webhook-id'], headers['webhook-timestamp']]).toEqual([EVENT.id, String(EVENT.timestampSeconds)])
    expect(body.toString()).toBe(EVENT.body)
    const macs = [newer, older].map((key) =>
      createHmac('sha256', key)
        .update(Buffer.concat([Buffer.from(`${EVENT.id}.${EVENT.timestampSeconds}.`), body]))
        .digest('base64'),
    )
    expect(headers['webhook-signature']).toBe(macs.map((mac) => `v1,${mac}`).join(' '))
    expect(headers).not.toHaveProperty('authorization')
  })

  test('comes over a connection of its own that ends with the answer', async () => {
    const ports = new Set<number | undefined>()
    const server = createServer(({ socket, headers }, response) => {
      ports.add(socket.remotePort)
      expect(headers.connection).toBe('close')
      response.end()
    })
    const port = await listen(server)
    const send = sender()
    for (let count = 0; count < 3; count++) await send(`http://127.0.0.1:${port}/`)
    expect(ports.size).toBe(3)
    await expect.poll(() => new Promise((done) => server.getConnections((_, count) => done(count)))).toBe(0)
  })
})

describe('the answer', () => {
  test.each([200, 201, 202, 204, 299])('%i means that it has arrived', async (status) => {
    const { port } = await receiver((response) => response.writeHead(status).end())
    expect(await sender()(`http://127.0.0.1:${port}/`)).toEqual({ outcome: 'delivered', status })
  })

  test.each([400, 401, 404, 410, 429, 500, 503])('%i means that it has not', async (status) => {
    const { port } = await receiver((response) => response.writeHead(status).end('{"secret":"of the receiver"}'))
    expect(await sender()(`http://127.0.0.1:${port}/`)).toEqual({ outcome: 'refused', status })
  })

  test.each([301, 302, 303, 307, 308])('%i leads nowhere: the place it names is not asked', async (status) => {
    const trap = await receiver()
    for (const location of [`http://127.0.0.1:${trap.port}/`, 'http://169.254.169.254/latest/meta-data/']) {
      const { port, seen } = await receiver((response) => response.writeHead(status, { location }).end())
      expect(await sender()(`http://127.0.0.1:${port}/`)).toEqual({ outcome: 'refused', status })
      expect(seen).toHaveLength(1)
    }
    expect(trap.seen).toEqual([])
  })

  test('that never ends is not read to its end', async () => {
    let sentBytes = 0
    const { port } = await receiver((response) => {
      response.writeHead(200)
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536))) sentBytes += 65_536
      }
      response.on('drain', more)
      more()
    })
    const startMs = performance.now()
    expect(await sender()(`http://127.0.0.1:${port}/`)).toEqual({ outcome: 'delivered', status: 200 })
    expect(performance.now() - startMs).toBeLessThan(1500)
    expect(sentBytes).toBeLessThan(32 * 1024 * 1024) // what fits into the buffers of two sockets
  })

  test('that drips its head byte by byte ends at the deadline', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {})
      const drip = setInterval(() => socket.write('H'), 50)
      socket.write('HTTP/1.1 200 OK\r\nx-slow: ')
      socket.on('close', () => clearInterval(drip))
    })
    const port = await listen(server)
    const startMs = performance.now()
    const outcome = await sender({ deadlineMs: 400 })(`http://127.0.0.1:${port}/`)
    expect(outcome).toEqual({ outcome: 'failed', reason: 'timeout' })
    expect(performance.now() - startMs).toBeLessThan(1900)
    await expect.poll(() => new Promise((done) => server.getConnections((_, count) => done(count)))).toBe(0)
  })

  test('that never comes ends at the deadline', async () => {
    const { port } = await receiver(() => {})
    expect(await sender({ deadlineMs: 300 })(`http://127.0.0.1:${port}/`)).toEqual({
      outcome: 'failed',
      reason: 'timeout',
    })
  })

  test('that is no HTTP, or breaks off, is a failure and no crash', async () => {
    for (const answer of [
      'SSH-2.0-OpenSSH_9.9\r\n',
      'HTTP/1.1 200',
      `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`,
    ]) {
      const port = await listen(createTcpServer((socket) => socket.on('error', () => {}).end(answer)))
      expect(await sender()(`http://127.0.0.1:${port}/`)).toEqual({ outcome: 'failed', reason: 'connect' })
    }
  })

  test('of nobody is a failed connection', async () => {
    const server = createTcpServer()
    const port = await listen(server)
    await new Promise((resolve) => server.close(resolve))
    expect(await sender()(`http://127.0.0.1:${port}/`)).toEqual({ outcome: 'failed', reason: 'connect' })
  })
})

describe('a name', () => {
  test('is refused unless every one of its addresses is public, and nothing is connected', async () => {
    const { port, seen } = await receiver()
    for (const addresses of [
      at('127.0.0.1'),
      at('93.184.215.14', '127.0.0.1'),
      at('127.0.0.1', '93.184.215.14'),
      at('2606:4700:4700::1111', '::1'),
      at('169.254.169.254'),
      at('::ffff:127.0.0.1'),
      at('64:ff9b::7f00:1'),
      at('fd00:ec2::254'),
      at('0.0.0.0'),
      [],
    ]) {
      const send = sender({ allowsLoopback: false, resolve: async () => addresses })
      const outcome = await send(`https://hooks.example.com:${port}/`)
      expect(outcome, JSON.stringify(addresses)).toEqual({ outcome: 'failed', reason: 'address_not_allowed' })
    }
    expect(seen).toEqual([])
  })

  test('is refused outside production too where it leads to anything private but this machine', async () => {
    const send = sender({ resolve: async () => at('127.0.0.1', '10.0.0.1') })
    expect(await send('https://hooks.example.com/')).toEqual({ outcome: 'failed', reason: 'address_not_allowed' })
  })

  test('is resolved once: an answer that changes between check and connection (rebinding) changes nothing', async () => {
    const checked = await receiver()
    const other = createServer((_, response) => response.end())
    let isHit = false
    other.on('request', () => {
      isHit = true
    })
    await listen(other, '127.0.0.2', checked.port) // the same port: only the address tells them apart
    const resolve = vi.fn(async () => at(resolve.mock.calls.length === 1 ? '127.0.0.1' : '127.0.0.2'))
    const outcome = await sender({ resolve })(`http://localhost:${checked.port}/`)
    expect(outcome).toEqual({ outcome: 'delivered', status: 200 })
    expect([resolve.mock.calls, checked.seen.length, isHit]).toEqual([[['localhost']], 1, false])
  })

  test('is resolved and checked again at each attempt', async () => {
    const { port, seen } = await receiver()
    const resolve = vi.fn(async () => at(resolve.mock.calls.length === 1 ? '127.0.0.1' : '169.254.169.254'))
    const send = sender({ resolve })
    const outcomes = [await send(`http://localhost:${port}/`), await send(`http://localhost:${port}/`)]
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['delivered', 'failed'])
    expect(seen).toHaveLength(1)
  })

  test('that does not exist, or whose name servers do not answer, says so', async () => {
    const fails = (code: string) => sender({ resolve: () => Promise.reject(Object.assign(new Error(code), { code })) })
    for (const code of ['ENOTFOUND', 'ENODATA', 'ESERVFAIL', 'EREFUSED'])
      expect(await fails(code)('https://hooks.example.com/')).toEqual({ outcome: 'failed', reason: 'dns' })
    expect(await fails('ETIMEOUT')('https://hooks.example.com/')).toEqual({ outcome: 'failed', reason: 'timeout' })
    const hangs = sender({ deadlineMs: 200, resolve: () => new Promise(() => {}) })
    expect(await hangs('https://hooks.example.com/')).toEqual({ outcome: 'failed', reason: 'timeout' })
  })
})

describe('a URL that was stored', () => {
  test.each([
    'https://169.254.169.254/latest/meta-data/',
    'https://2852039166/',
    'https://[::ffff:10.0.0.1]/',
    'https://[fd00:ec2::254]/',
    'https://metadata.google.internal/',
    'http://hooks.example.com/',
    'http://127.0.0.1/',
    'http://localhost/',
    'not a url',
  ])('%s is checked again, and not even resolved', async (url) => {
    const resolve = vi.fn(async () => at('93.184.215.14'))
    const send = sender({ allowsLoopback: false, resolve })
    expect(await send(url)).toEqual({ outcome: 'failed', reason: 'address_not_allowed' })
    expect(resolve).not.toHaveBeenCalled()
  })
})

describe('over TLS', () => {
  test('a certificate that nobody vouches for is refused, also where Node was told to take any, and nothing is sent', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    onTestFinished(() => void vi.unstubAllEnvs())
    let isHit = false
    const server = createTlsServer(selfSigned('localhost'), (_, response) => {
      isHit = true
      response.end()
    })
    const port = await listen(server)
    const send = sender({ resolve: async () => at('127.0.0.1') })
    expect(await send(`https://localhost:${port}/`)).toEqual({ outcome: 'failed', reason: 'tls' })
    expect(isHit).toBe(false)
  })

  test('a server that speaks none is a failure of TLS', async () => {
    const { port } = await receiver()
    const send = sender({ resolve: async () => at('127.0.0.1') })
    expect(await send(`https://localhost:${port}/`)).toEqual({ outcome: 'failed', reason: 'tls' })
  })
})
