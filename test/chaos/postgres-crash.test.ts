import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Replica } from '../helpers/replica.ts'
import { endLease, grantRow, refreshCalls } from '../helpers/vault.ts'
import { type OwnPostgres, startOwnPostgres } from './own-postgres.ts'
import { POINTS, REPEATS } from './points.ts'
import { BUSY_MACHINE, mint, PATIENT, startWorld, type World } from './world.ts'

vi.setConfig(BUSY_MACHINE)

let postgres: OwnPostgres
let world: World
let target: Replica

beforeAll(async () => {
  postgres = await startOwnPostgres()
  world = await startWorld({ env: { DATABASE_URL: postgres.url }, adminUrl: postgres.adminUrl })
  target = await world.replica()
}, 60_000)
afterAll(async () => {
  await world.stop()
  await postgres.remove()
})

const storeFailures = () => target.log.filter((line) => line.includes('tokens are not stored yet')).length

test.each([
  'K4 Zoom rotated, before its answer',
  'K6 answer parsed, before PERSIST',
  'K7 PERSIST done, not acknowledged',
] as const)('Postgres stopped immediately at %s and started again: the pair is stored', REPEATS, async (name) => {
  const host = await world.expiredHost()
  const { reached, letGo } = POINTS[name](world)
  const answer = mint(target, host)
  await reached
  const failuresBefore = storeFailures()
  await postgres.crash()
  letGo()
  await expect.poll(storeFailures, PATIENT).toBeGreaterThan(failuresBefore + 2)
  await postgres.restart()
  await answer
  const stored = { status: 'connected', gen: 2, isIntentOpen: false, attempts: ['ok'] }
  await expect.poll(() => grantRow(world.t, host).catch(() => null), PATIENT).toMatchObject(stored)
  expect(await world.truth(host)).toMatchObject({ status: 'connected', isLive: true })
  expect(refreshCalls(world.t, host)).toBe(1)
  await expect.poll(async () => (await mint(target, host)).status, PATIENT).toBe(200)
})

test(
  'Postgres stopped immediately with the process killed too: the intent was durable, the loss says its name',
  REPEATS,
  async () => {
    const host = await world.expiredHost()
    const victim = await world.replica()
    const { reached, letGo } = POINTS['K4 Zoom rotated, before its answer'](world)
    const answer = mint(victim, host)
    await reached
    await postgres.crash()
    await victim.stop('SIGKILL')
    letGo()
    await answer
    await postgres.restart()
    await expect.poll(() => grantRow(world.t, host).catch(() => null), PATIENT).toMatchObject({ isIntentOpen: true })
    await endLease(world.t, host)
    await expect.poll(async () => (await mint(target, host)).code, PATIENT).toBe('reconnect_required')
    expect(await grantRow(world.t, host)).toMatchObject({ status: 'reconnect_required', reason: 'rotation_lost' })
  },
)
