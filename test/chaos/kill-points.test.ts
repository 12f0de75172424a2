import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Replica } from '../helpers/replica.ts'
import { endLease } from '../helpers/vault.ts'
import { faultOf } from './invariant.ts'
import { POINTS, REPEATS } from './points.ts'
import { BUSY_MACHINE, mint, startWorld, type World } from './world.ts'

vi.setConfig(BUSY_MACHINE)

let world: World
let survivor: Replica

beforeAll(async () => {
  world = await startWorld()
  survivor = await world.replica()
})
afterAll(() => world.stop())

const KEPT = { status: 'connected', reason: null }
const LOST = { status: 'reconnect_required', reason: 'rotation_lost' }

/** How the grant ends where the process dies at the point. */
const ENDS = {
  'K1 before ACQUIRE': KEPT,
  'K2 after ACQUIRE, before sending': KEPT,
  'K3 sent, and Zoom never handles it': KEPT,
  'K3 sent, and Zoom handles it late': LOST,
  'K4 Zoom rotated, before its answer': LOST,
  'K5 headers read, body not': LOST,
  'K6 answer parsed, before PERSIST': LOST,
  'K7 PERSIST done, not acknowledged': KEPT,
  'K8 acknowledged, before the caller has its answer': KEPT,
} satisfies Record<keyof typeof POINTS, object>
const CASES = Object.entries(ENDS) as [keyof typeof POINTS, object][]

test.each(CASES)('kill -9 at %s: the host mints, or says why not', REPEATS, async (name, end) => {
  const victim = await world.replica()
  const host = await world.expiredHost()
  const before = world.t.zoom.refreshes
  const { reached, letGo } = POINTS[name](world)
  const cutShort = mint(victim, host)
  await reached
  await victim.stop('SIGKILL')
  letGo()
  expect((await cutShort).status).toBe(0)
  await endLease(world.t, host)
  const answer = await mint(survivor, host)
  expect(answer.code ?? answer.status).toBe(end === KEPT ? 200 : 'reconnect_required')
  const found = await world.truth(host)
  expect([found, faultOf(found)]).toMatchObject([end, null])
  expect(world.t.zoom.refreshes - before).toBe(1)
})

test('kill -9 at K9 in VERDICT: the next attempt condemns the grant, and nobody mints', REPEATS, async () => {
  const victim = await world.replica()
  const host = await world.expiredHost()
  world.t.zoom.revokeGrant(host.email)
  const held = world.proxy.hold({ statement: 'grant_verdict', when: 'request' })
  const cutShort = mint(victim, host)
  await held.reached
  await victim.stop('SIGKILL')
  held.release()
  await cutShort
  await endLease(world.t, host)
  expect((await mint(survivor, host)).code).toBe('reconnect_required')
  const found = await world.truth(host)
  expect([found.status, faultOf(found, true)]).toEqual(['reconnect_required', null])
})

const LAST_POINTS = [
  'K4 Zoom rotated, before its answer',
  'K6 answer parsed, before PERSIST',
  'K7 PERSIST done, not acknowledged',
] as const

test.each(LAST_POINTS)('SIGTERM at %s: the pair is stored before the process ends', REPEATS, async (name) => {
  const target = await world.replica()
  const host = await world.expiredHost()
  const { reached, letGo } = POINTS[name](world)
  const answer = mint(target, host)
  await reached
  const ended = target.stop('SIGTERM')
  letGo()
  expect(await ended).toBe(0)
  await answer
  expect(await world.truth(host)).toMatchObject({ ...KEPT, isLive: true, isIntentOpen: false })
})
