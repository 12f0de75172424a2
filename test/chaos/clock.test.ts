import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { rows } from '../helpers/connect.ts'
import type { Replica } from '../helpers/replica.ts'
import { endLease, expireAccessToken, grantRow, refreshCalls, refreshFault, type VaultHost } from '../helpers/vault.ts'
import { POINTS } from './points.ts'
import { BUSY_MACHINE, mint, PATIENT, startWorld, type World } from './world.ts'

vi.setConfig(BUSY_MACHINE)

const SKEW_MS = 10 * 60_000
let world: World
/** One ten minutes ahead, one ten minutes behind, and what their bots' clocks say: Recall's signature carries a time. */
let clocks: { replica: Replica; offMs: number }[]

beforeAll(async () => {
  world = await startWorld()
  const preload = `--import=${join(import.meta.dirname, 'skewed-clock.ts')}`
  const start = async (offMs: number) => ({
    replica: await world.replica({ NODE_OPTIONS: preload, CLOCK_SKEW_MS: String(offMs) }),
    offMs,
  })
  clocks = await Promise.all([start(SKEW_MS), start(-SKEW_MS)])
})
afterAll(() => world.stop())

const mintEverywhere = (host: VaultHost) =>
  Promise.all(clocks.map(({ replica, offMs }) => mint(replica, host, Date.now() + offMs)))
const statuses = async (host: VaultHost) => (await mintEverywhere(host)).map(({ status }) => status)

describe('with one replica ten minutes ahead and one ten minutes behind', () => {
  test('their clocks really are off: a bot with the right time is refused by both', async () => {
    const host = await world.expiredHost()
    const answers = await Promise.all(clocks.map(({ replica }) => mint(replica, host)))
    expect(answers.map(({ status }) => status)).toEqual([401, 401])
  })

  test('an expired token is renewed once for both', async () => {
    const host = await world.expiredHost()
    expect(await statuses(host)).toEqual([200, 200])
    expect(await statuses(host)).toEqual([200, 200])
    expect(refreshCalls(world.t, host)).toBe(1)
    expect(await world.truth(host)).toMatchObject({ status: 'connected', isLive: true, isIntentOpen: false })
  })

  test('a token with more life than the margin is renewed by neither, one with less by one of them', async () => {
    const host = await world.expiredHost()
    expect(await statuses(host)).toEqual([200, 200])
    const setLife = (seconds: number) =>
      rows(
        world.t,
        `UPDATE grant_tokens SET access_expires_at = clock_timestamp() + $2 * interval '1 s' WHERE grant_id = $1`,
        [host.grantId, seconds],
      )
    await setLife(330)
    expect(await statuses(host)).toEqual([200, 200])
    expect(refreshCalls(world.t, host)).toBe(1)
    await setLife(270)
    expect(await statuses(host)).toEqual([200, 200])
    await expect.poll(async () => (await grantRow(world.t, host)).gen, PATIENT).toBe(3)
    expect(refreshCalls(world.t, host)).toBe(2)
  })

  test.each([0, 1])('the lease of replica %i holds the other off, and ends by the database’s clock', async (holder) => {
    const host = await world.expiredHost()
    const { reached, letGo } = POINTS['K3 sent, and Zoom never handles it'](world)
    const { replica, offMs } = clocks[holder] as { replica: Replica; offMs: number }
    const next = clocks[1 - holder] as { replica: Replica; offMs: number }
    const first = mint(replica, host, Date.now() + offMs)
    await reached
    expect((await mint(next.replica, host, Date.now() + next.offMs)).code).toBe('zoom_timeout')
    expect(refreshCalls(world.t, host)).toBe(1)
    expect((await grantRow(world.t, host)).leaseSeconds).toBeGreaterThan(35)
    await endLease(world.t, host)
    expect((await mint(next.replica, host, Date.now() + next.offMs)).status).toBe(200)
    letGo()
    await first
    expect(await world.truth(host)).toMatchObject({ status: 'connected', isLive: true, isIntentOpen: false })
  })

  test('a Retry-After that one was told holds the other off, for as long as Zoom said', async () => {
    const host = await world.expiredHost()
    refreshFault(world.t, host, { type: 'status', status: 429, headers: { 'retry-after': '30' } })
    expect((await mintEverywhere(host)).map(({ code }) => code)).toEqual(['zoom_rate_limited', 'zoom_rate_limited'])
    expect((await grantRow(world.t, host)).leaseSeconds).toBeGreaterThan(25)
    await endLease(world.t, host)
    expect(await statuses(host)).toEqual([200, 200])
  })

  test('a grant whose rotation was lost is found out and named as ever', async () => {
    const host = await world.expiredHost()
    refreshFault(world.t, host, { type: 'reset' }, { effect: 'before' })
    await mintEverywhere(host)
    await endLease(world.t, host)
    await expireAccessToken(world.t, host)
    expect((await mintEverywhere(host)).map(({ code }) => code)).toEqual(['reconnect_required', 'reconnect_required'])
    expect(await world.truth(host)).toMatchObject({ reason: 'rotation_lost' })
  })
})
