import { connect, type Socket } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { buildTestApp, startTestApp, type TestApp } from '../helpers/app.ts'
import { newKey, newTenantWithKey, outcomeOf } from '../helpers/management.ts'
import { newVaultHost, told } from '../helpers/vault.ts'

const statusesOf = async (requests: Promise<{ statusCode: number }>[]) => {
  const counts: Record<number, number> = {}
  for (const { statusCode } of await Promise.all(requests)) counts[statusCode] = (counts[statusCode] ?? 0) + 1
  return counts
}

describe('an API key', () => {
  test('asks 400 times at once and hears 429 with Retry-After after that, until its 2 s are over; no other key notices', async () => {
    const t = await buildTestApp()
    const { id, call } = await newTenantWithKey(t)
    const other = await newKey(t, id)
    const read = () => call('GET', '/v1/hosts')
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() }) // however slow this machine is, it is all at once
    onTestFinished(() => void vi.useRealTimers())
    expect(await statusesOf(Array.from({ length: 400 }, read))).toEqual({ 200: 400 })
    const refused = await read()
    expect(outcomeOf(refused)).toEqual([429, 'rate_limited'])
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1)
    expect(Object.keys(refused.headers).filter((name) => name.startsWith('x-ratelimit'))).toEqual([])
    expect((await t.api('GET', '/v1/hosts', { key: other })).statusCode).toBe(200)
    expect((await t.api('GET', '/v1/hosts')).statusCode).toBe(200) // the operator's key
    vi.setSystemTime(Date.now() + 2001)
    expect((await read()).statusCode).toBe(200)
  })

  test('that is not known counts as a failed authentication and not as anybody’s request', async () => {
    const t = await buildTestApp()
    const wrong = () => t.api('GET', '/v1/hosts', { key: 'lk_nonsense' })
    const counts = await statusesOf(Array.from({ length: 450 }, wrong))
    expect(Object.keys(counts).every((status) => status === '401' || status === '429')).toBe(true)
    expect((await t.api('GET', '/v1/hosts')).statusCode).toBe(200)
  })
})

/** Nothing else is done until the loop has run so late, on average over two seconds. */
async function standStill({ app }: TestApp, leastMs: number, mostMs: number) {
  const stretchMs = leastMs * 1.4 // and more where others want the machine too
  await expect
    .poll(
      async () => {
        for (let turn = 0; turn < 4; turn++) {
          const end = performance.now() + stretchMs
          while (performance.now() < end);
          await nextTurn()
        }
        const { eventLoopDelay } = app.memoryUsage()
        return eventLoopDelay > leastMs && eventLoopDelay < mostMs
      },
      { timeout: 20_000, interval: 1 },
    )
    .toBe(true)
}

describe('while the event loop runs late', () => {
  test('the management API is turned away as busy, bots are served, and whoever looks is told that the process lives', async () => {
    const t = await startTestApp()
    onTestFinished(t.stop)
    const host = await newVaultHost(t)
    await standStill(t, 520, 1900) // the API gives way at 500, bots at 2000
    const busy = await t.api('GET', '/v1/hosts')
    expect(outcomeOf(busy)).toEqual([503, 'busy'])
    expect(busy.headers['retry-after']).toBe('2')
    expect((await t.app.inject('/healthz')).statusCode).toBe(200)
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
    await expect.poll(async () => (await t.api('GET', '/v1/hosts')).statusCode, { timeout: 10_000 }).toBe(200)
  })

  test('for one stall alone nobody is turned away', async () => {
    const t = await buildTestApp()
    const end = performance.now() + 1200
    while (performance.now() < end);
    await sleep(900) // past the next measurement, with time to spare on either side of the stall
    expect((await t.api('GET', '/v1/hosts')).statusCode).toBe(200)
  })
})

describe('a JSON body', () => {
  test('nests twenty levels deep and no deeper, whatever brackets its texts hold', async () => {
    const t = await buildTestApp()
    const send = (name: string) =>
      t.app.inject({
        method: 'POST',
        url: '/v1/tenants',
        headers: { authorization: `Bearer ${t.settings.OPERATOR_API_KEY}`, 'content-type': 'application/json' },
        payload: `{"name":${name}}`,
      })
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect((await send(nested(19))).json().detail).not.toContain('nests')
    expect((await send(nested(20))).json()).toMatchObject({
      code: 'invalid_request',
      detail: expect.stringContaining('nests deeper'),
    })
    expect((await send(JSON.stringify('[{"\\'.repeat(40)))).statusCode).toBe(201)
    expect((await send(`"${'['.repeat(50)}"`)).statusCode).toBe(201)
  })
})

test('connections are bounded, one that has had ten thousand requests is closed, and headers and requests have their time', async () => {
  const t = await buildTestApp()
  await t.app.listen({ port: 0, host: '127.0.0.1' })
  const { server } = t.app
  expect(server.maxConnections).toBeGreaterThanOrEqual(1000)
  expect(server.maxRequestsPerSocket).toBe(10_000)
  expect([server.headersTimeout, server.requestTimeout]).toEqual([10_000, 15_000])
  server.maxConnections = 2
  const { port } = server.address() as { port: number }
  const sockets: Socket[] = Array.from({ length: 2 }, () => connect(port, '127.0.0.1'))
  onTestFinished(() => sockets.forEach((socket) => void socket.destroy()))
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))))
  const third = connect(port, '127.0.0.1')
  third.on('error', () => {})
  await new Promise((resolve) => third.once('close', resolve))
  sockets[0]?.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
  const answer = await new Promise<Buffer>((resolve) => sockets[0]?.once('data', resolve))
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /)
})
