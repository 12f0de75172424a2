import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { slowReaders } from '../../../src/plugins/slow-readers.ts'

const LONG_BYTES = 64 * 1024 * 1024 // more than the buffers of both ends hold
const MINUTE_MS = 60_000
let app: FastifyInstance
let socket: Socket
let received: number

// The minute passes only where a test says so: how fast this machine reads decides nothing
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  app = Fastify({ forceCloseConnections: true })
  await app.register(slowReaders)
  app.get('/long', async () => 'x'.repeat(LONG_BYTES))
  app.get('/short', async () => 'x'.repeat(32 * 1024))
  await app.listen({ port: 0, host: '127.0.0.1' })
  received = 0
  socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
})
afterEach(async () => {
  socket.destroy()
  await app.close()
  vi.useRealTimers()
})
const connections = () => new Promise((resolve) => app.server.getConnections((_, count) => resolve(count)))
const ask = (path: string) => socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)

test('a long reply that nobody reads is given up after a minute, and its connection closed', async () => {
  const answering = once(app.server, 'request')
  ask('/long')
  const [, reply] = await answering
  await expect.poll(() => reply.headersSent).toBe(true)
  vi.advanceTimersByTime(MINUTE_MS - 1)
  expect(await connections()).toBe(1)
  vi.advanceTimersByTime(1)
  await expect.poll(connections, { timeout: 10_000 }).toBe(0)
})

test('so is one that is read a little at a time', async () => {
  socket.on('data', (chunk) => {
    received += chunk.length
    socket.pause()
  })
  ask('/long')
  for (const part of [1, 2, 3]) {
    await expect.poll(() => received, { timeout: 10_000 }).toBeGreaterThan(0)
    vi.advanceTimersByTime(MINUTE_MS / 4)
    expect(await connections(), `after part ${part}`).toBe(1)
    socket.resume()
  }
  vi.advanceTimersByTime(MINUTE_MS / 4)
  await expect.poll(connections, { timeout: 10_000 }).toBe(0)
  expect(received).toBeLessThan(LONG_BYTES)
})

test('a short one and one that was read leave the connection to the next request', async () => {
  socket.on('data', (chunk) => {
    received += chunk.length
  })
  ask('/long')
  await expect.poll(() => received, { timeout: 20_000 }).toBeGreaterThan(LONG_BYTES)
  ask('/short')
  await expect.poll(() => received, { timeout: 10_000 }).toBeGreaterThan(LONG_BYTES + 32 * 1024)
  vi.advanceTimersByTime(2 * MINUTE_MS)
  const before = received
  ask('/short')
  await expect.poll(() => received - before, { timeout: 10_000 }).toBeGreaterThan(32 * 1024)
  expect(await connections()).toBe(1)
})
