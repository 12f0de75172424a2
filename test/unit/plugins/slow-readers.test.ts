import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { slowReaders } from '../../../src/plugins/slow-readers.ts'

const TIMEOUT_MS = 300
let app: FastifyInstance
let socket: Socket
let received: number

beforeEach(async () => {
  app = Fastify({ forceCloseConnections: true })
  await app.register(slowReaders, { readTimeoutMs: TIMEOUT_MS })
  app.get('/long', async () => 'x'.repeat(64 * 1024 * 1024)) // more than the buffers of both ends hold
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
})
const connections = () => new Promise((resolve) => app.server.getConnections((_, count) => resolve(count)))

test('a long reply that nobody reads is given up, and its connection closed', async () => {
  socket.write('GET /long HTTP/1.1\r\nHost: x\r\n\r\n')
  await expect.poll(connections).toBe(1)
  await expect.poll(connections, { timeout: 5000 }).toBe(0)
})

test('so is one that is read a little at a time', async () => {
  socket.on('data', async (chunk) => {
    received += chunk.length
    socket.pause()
    await delay(20)
    socket.resume()
  })
  socket.write('GET /long HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'close')
  expect(received).toBeGreaterThan(0)
  expect(received).toBeLessThan(64 * 1024 * 1024)
})

test('a short one and one that is read at once leave the connection to the next request', async () => {
  socket.on('data', (chunk) => {
    received += chunk.length
  })
  socket.write('GET /long HTTP/1.1\r\nHost: x\r\n\r\n')
  await expect.poll(() => received, { timeout: 10_000 }).toBeGreaterThan(64 * 1024 * 1024)
  await delay(2 * TIMEOUT_MS) // the time that a slow reader would have had
  const before = received
  socket.write('GET /short HTTP/1.1\r\nHost: x\r\n\r\n')
  await expect.poll(() => received - before).toBeGreaterThan(32 * 1024)
  expect(await connections()).toBe(1)
})
