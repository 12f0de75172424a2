import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { rows } from '../helpers/connect.ts'
import type { Replica } from '../helpers/replica.ts'
import { endLease, grantRow, refreshCalls, type VaultHost } from '../helpers/vault.ts'
import { POINTS, REPEATS } from './points.ts'
import { BUSY_MACHINE, mint, PATIENT, startWorld, type World } from './world.ts'

vi.setConfig(BUSY_MACHINE)

const POOL = 8 // near the default: half a dozen rounds of jobs share it with the requests
const STORED = { status: 'connected', gen: 2, isIntentOpen: false, leaseSeconds: 0, attempts: ['ok'] }
let world: World
let target: Replica

beforeAll(async () => {
  world = await startWorld()
  target = await world.replica({ DATABASE_POOL_MAX: String(POOL) })
})
afterAll(() => world.stop())

const storeFailures = () => target.log.filter((line) => line.includes('tokens are not stored yet')).length

async function expectStoredOnce(host: VaultHost) {
  await expect.poll(() => grantRow(world.t, host), PATIENT).toMatchObject(STORED)
  expect(await world.truth(host)).toMatchObject({ status: 'connected', isLive: true })
  expect(refreshCalls(world.t, host)).toBe(1)
  await expect.poll(async () => (await mint(target, host)).status, PATIENT).toBe(200)
}

/** A bot whose refresh stands at the point. */
async function arrived(name: keyof typeof POINTS) {
  const host = await world.expiredHost()
  const { reached, letGo } = POINTS[name](world)
  const answer = mint(target, host)
  await reached
  return { host, letGo, answer }
}

const terminateAll = () =>
  rows(
    world.t,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  )

describe('a pair that Zoom has given is stored', () => {
  test.each([
    'K4 Zoom rotated, before its answer',
    'K6 answer parsed, before PERSIST',
    'K7 PERSIST done, not acknowledged',
  ] as const)('although every backend is terminated at %s', REPEATS, async (name) => {
    const { host, letGo, answer } = await arrived(name)
    await terminateAll()
    letGo()
    await answer
    await expectStoredOnce(host)
  })

  test.each([
    'K4 Zoom rotated, before its answer',
    'K6 answer parsed, before PERSIST',
    'K7 PERSIST done, not acknowledged',
  ] as const)('although all connections are cut at %s and new ones refused for a while', REPEATS, async (name) => {
    const failuresBefore = storeFailures()
    const { host, letGo, answer } = await arrived(name)
    world.proxy.cut()
    letGo()
    await expect.poll(storeFailures, PATIENT).toBeGreaterThan(failuresBefore + 1)
    world.proxy.open()
    await answer
    await expectStoredOnce(host)
  })

  test('while every connection for requests waits behind a lock', async () => {
    const { host, letGo, answer } = await arrived('K4 Zoom rotated, before its answer')
    const others = await Promise.all(Array.from({ length: 2 * POOL }, () => world.expiredHost()))
    const locker = await world.t.admin.connect()
    await locker.query('BEGIN')
    await locker.query('LOCK TABLE mints, tenants, hosts IN ACCESS EXCLUSIVE MODE')
    const refused = others.map((other) => mint(target, other))
    const lists = others.map(() =>
      fetch(`${target.url}/v1/hosts`, { headers: { authorization: `Bearer ${world.t.settings.OPERATOR_API_KEY}` } }),
    )
    await expect.poll(() => waitingForLocks(), { timeout: 4000 }).toBe(POOL)
    letGo()
    await expect.poll(() => grantRow(world.t, host), { timeout: 4000 }).toMatchObject(STORED)
    expect(await waitingForLocks()).toBe(POOL)
    await locker.query('ROLLBACK')
    locker.release()
    await Promise.all([answer, ...refused, ...lists])
    await expectStoredOnce(host)
  })

  async function waitingForLocks(): Promise<number> {
    const waiting = await rows<{ n: number }>(
      world.t,
      `SELECT count(*)::int AS n FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'latchkey' AND wait_event_type = 'Lock'`,
    )
    return waiting[0]?.n ?? 0
  }

  test('although the database takes 2 s for every answer', async () => {
    const host = await world.expiredHost()
    expect((await mint(target, await world.expiredHost())).status).toBe(200) // connections stand
    world.proxy.setLatency(2000)
    const first = await mint(target, host)
    // the first bot's patience may end before its refresh begins; the next one comes
    const comeAgain = () => mint(target, host).then(() => grantRow(world.t, host))
    // a dozen answers of 2 s follow one another, on each of several connections
    await expect.poll(comeAgain, { timeout: 45_000, interval: 200 }).toMatchObject(STORED)
    world.proxy.setLatency(0)
    expect([200, 503, 504]).toContain(first.status)
    await expectStoredOnce(host)
  })

  test('although the database falls to 20 s per answer just when it comes, and is read back, not spent again', async () => {
    const failuresBefore = storeFailures()
    const { host, letGo, answer } = await arrived('K4 Zoom rotated, before its answer')
    world.proxy.setLatency(20_000)
    letGo()
    await expect.poll(storeFailures, PATIENT).toBeGreaterThan(failuresBefore)
    expect((await answer).status).toBeGreaterThanOrEqual(500)
    world.proxy.setLatency(0)
    await expectStoredOnce(host)
  })
})

test.each(['K1 before ACQUIRE', 'K2 after ACQUIRE, before sending'] as const)(
  'all connections cut at %s: Zoom is not asked, and the next attempt renews the token',
  REPEATS,
  async (name) => {
    const { host, letGo, answer } = await arrived(name)
    world.proxy.cut()
    world.proxy.open()
    letGo()
    expect((await answer).code).toBe('store_unavailable')
    expect(refreshCalls(world.t, host)).toBe(0)
    await endLease(world.t, host)
    await expect.poll(async () => (await mint(target, host)).status, PATIENT).toBe(200)
    expect(await world.truth(host)).toMatchObject({ status: 'connected', isLive: true, isIntentOpen: false })
  },
)

test('a database of 20 s per answer leaves each grant alive or its intent open, and all of them recover', async () => {
  const hosts = await Promise.all(Array.from({ length: 4 }, () => world.expiredHost()))
  world.proxy.setLatency(20_000)
  const answers = await Promise.all(hosts.map((host) => mint(target, host)))
  expect(answers.map(({ status }) => status >= 500)).toEqual(hosts.map(() => true))
  world.proxy.setLatency(0)
  for (const host of hosts) {
    await endLease(world.t, host)
    await expect.poll(async () => (await mint(target, host)).status, PATIENT).toBe(200)
    expect(await world.truth(host)).toMatchObject({ status: 'connected', isLive: true, isIntentOpen: false })
  }
})
