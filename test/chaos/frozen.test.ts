import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Replica } from '../helpers/replica.ts'
import { endLease, grantRow, type VaultHost } from '../helpers/vault.ts'
import { POINTS, REPEATS } from './points.ts'
import { BUSY_MACHINE, freeze, mint, PATIENT, startWorld, thaw, type World } from './world.ts'

vi.setConfig(BUSY_MACHINE)

let world: World
let sleeper: Replica
let sibling: Replica

beforeAll(async () => {
  world = await startWorld()
  ;[sleeper, sibling] = await Promise.all([world.replica(), world.replica()])
})
afterAll(() => world.stop())

/** Puts the sleeper to sleep in mid-refresh, and lets its lease run out without the wait for it. */
async function asleepAt(name: keyof typeof POINTS) {
  const host = await world.expiredHost()
  const { reached, letGo } = POINTS[name](world)
  const answer = mint(sleeper, host)
  await reached
  await freeze(sleeper)
  await endLease(world.t, host)
  return { host, letGo, answer }
}

async function expectLivingPair(host: VaultHost) {
  const whole = { status: 'connected', reason: null, isLive: true, isIntentOpen: false }
  await expect.poll(() => world.truth(host), PATIENT).toMatchObject(whole)
  const answers = await Promise.all([sleeper, sibling].map((replica) => mint(replica, host)))
  expect(answers.map(({ status }) => status)).toEqual([200, 200])
}

const HELD_PAIRS = [
  'K3 sent, and Zoom handles it late',
  'K4 Zoom rotated, before its answer',
  'K5 headers read, body not',
  'K6 answer parsed, before PERSIST',
  'K7 PERSIST done, not acknowledged',
] as const

describe('a process that slept past its lease', () => {
  test.each(HELD_PAIRS)('from %s still stores its pair', REPEATS, async (name) => {
    const { host, letGo, answer } = await asleepAt(name)
    letGo()
    thaw(sleeper)
    await answer
    await expectLivingPair(host)
    expect(await grantRow(world.t, host)).toMatchObject({ gen: 2, attempts: ['ok'] })
  })

  test.each(['K2 after ACQUIRE, before sending', 'K3 sent, and Zoom never handles it', ...HELD_PAIRS] as const)(
    'from %s harms nothing that a sibling did meanwhile, and heals what the sibling had to give up',
    REPEATS,
    async (name) => {
      const { host, letGo, answer } = await asleepAt(name)
      await mint(sibling, host)
      letGo()
      thaw(sleeper)
      await answer
      await expectLivingPair(host)
      expect(await grantRow(world.t, host)).toMatchObject({ gen: 2 })
    },
  )

  test('from K3 whose request never came to Zoom leaves the intent open: the sibling recovers', REPEATS, async () => {
    const { host, letGo, answer } = await asleepAt('K3 sent, and Zoom never handles it')
    letGo()
    thaw(sleeper)
    await answer
    await expect
      .poll(() => grantRow(world.t, host), PATIENT)
      .toMatchObject({ status: 'connected', isIntentOpen: true, attempts: ['ambiguous'] })
    expect((await mint(sibling, host)).status).toBe(200)
    await expectLivingPair(host)
  })

  test('and past the 8 s of its own request reads the answer that lies in its socket before it gives up', async () => {
    const { host, letGo, answer } = await asleepAt('K4 Zoom rotated, before its answer')
    letGo()
    await delay(9000)
    thaw(sleeper)
    await answer
    await expectLivingPair(host)
    expect(await grantRow(world.t, host)).toMatchObject({ gen: 2, attempts: ['ok'] })
  })
})
