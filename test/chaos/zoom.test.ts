import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { FaultInput } from '../../simulator/fault-schema.ts'
import { DEFAULT_MODES } from '../../simulator/seed.ts'
import { rows } from '../helpers/connect.ts'
import type { Replica } from '../helpers/replica.ts'
import { endLease, expireAccessToken, grantRow, refreshCalls, refreshFault, type VaultHost } from '../helpers/vault.ts'
import { faultOf } from './invariant.ts'
import { POINTS, REPEATS } from './points.ts'
import { BUSY_MACHINE, freeze, mint, PATIENT, startWorld, thaw, type World } from './world.ts'

vi.setConfig(BUSY_MACHINE)

let world: World
let one: Replica
let other: Replica

beforeAll(async () => {
  world = await startWorld()
  ;[one, other] = await Promise.all([world.replica(), world.replica()])
})
afterAll(() => world.stop())
afterEach(() => {
  world.t.zoom.clearFaults()
  world.t.zoom.setModes(DEFAULT_MODES)
})

/** Gone with its test: there may be hundreds of them. */
async function shortLived() {
  const replica = await world.replica()
  onTestFinished(async () => void (await replica.stop('SIGKILL')))
  return replica
}

const ROTATED = 'rotation_lost'
type Case = [name: string, fault: Omit<FaultInput, 'match'>, end: null | 'rotation_lost']

/** What Zoom may do to a refresh, whether it has rotated by then, and how the grant must end once the lease has run out. */
const FAULTS: Case[] = [
  ['hangs, rotated', { effect: 'before', action: { type: 'hang' } }, ROTATED],
  ['hangs, not rotated', { effect: 'never', action: { type: 'hang' } }, null],
  ['drips past the deadline', { effect: 'before', action: { type: 'drip', intervalMs: 200 } }, ROTATED],
  ['cuts its body', { effect: 'before', action: { type: 'cut' } }, ROTATED],
  ['resets after receipt, rotated', { effect: 'before', action: { type: 'reset' } }, ROTATED],
  ['resets after receipt, not rotated', { effect: 'never', action: { type: 'reset' } }, null],
  ['500, rotated', { effect: 'before', action: { type: 'status', status: 500 } }, ROTATED],
  ['500, not rotated', { effect: 'never', action: { type: 'status', status: 500 } }, null],
  ['429', { effect: 'never', action: { type: 'status', status: 429 } }, null],
  ['HTML with status 200, rotated', { effect: 'before', action: { type: 'html' } }, ROTATED],
  ['HTML with status 403, not rotated', { effect: 'never', action: { type: 'html', status: 403 } }, null],
  ['wrong JSON', { effect: 'before', action: { type: 'body', body: '{"access_token":' } }, ROTATED],
  ['no refresh_token', { effect: 'before', action: { type: 'omit', field: 'refresh_token' } }, ROTATED],
  ['no access_token', { effect: 'before', action: { type: 'omit', field: 'access_token' } }, ROTATED],
  ['answers 3 s late', { effect: 'before', action: { type: 'delay', ms: 3000 } }, null],
]

test('whatever Zoom does to a refresh, the grant lives on or says rotation_lost, and never rejected_by_zoom', async () => {
  const cases = FAULTS.map(([name, { action, ...more }, end]) => ({ name, action, more, end }))
  const hosts = await Promise.all(cases.map(() => world.expiredHost()))
  const first = cases.map(({ action, more }, index) => {
    refreshFault(world.t, hosts[index] as VaultHost, action, more)
    return mint(one, hosts[index] as VaultHost)
  })
  await Promise.all(first)
  const allSettled = async () => (await Promise.all(hosts.map((host) => grantRow(world.t, host)))).every(isSettled)
  await expect.poll(allSettled, { ...PATIENT, interval: 200 }).toBe(true)
  for (const host of hosts) await endLease(world.t, host)
  const answers = await Promise.all(hosts.map((host) => mint(other, host)))
  const ends = await Promise.all(hosts.map((host) => world.truth(host)))
  const got = cases.map(({ name }, index) => [
    name,
    answers[index]?.code ?? answers[index]?.status,
    ends[index]?.reason,
    ends[index] ? faultOf(ends[index]) : 'gone',
  ])
  expect(got).toEqual(cases.map(({ name, end }) => [name, end === null ? 200 : 'reconnect_required', end, null]))
})

const isSettled = ({ attempts }: { attempts: string[] | null }) => attempts !== null && !attempts.includes('open')

describe('where Zoom revokes the whole family when a dead refresh token is used again', () => {
  const revokesFamilies = () => world.t.zoom.setModes({ familyRevocation: true })
  const LOST = { status: 'reconnect_required', reason: 'rotation_lost' }
  const K3 = POINTS['K3 sent, and Zoom handles it late']

  /** A refresh that is still on its way when the lease has run out and the successor has spent the token. */
  async function overtaken(fate: (target: Replica) => Promise<unknown>) {
    revokesFamilies()
    const host = await world.expiredHost()
    const holder = await shortLived()
    const { reached, letGo } = K3(world)
    const cutShort = mint(holder, host)
    await reached
    await fate(holder)
    await endLease(world.t, host)
    expect((await mint(other, host)).status).toBe(200)
    return { host, holder, letGo, cutShort }
  }

  test(
    'a killed holder’s request that comes late ends in rotation_lost, not in rejected_by_zoom',
    REPEATS,
    async () => {
      const { host, letGo, cutShort } = await overtaken((holder) => holder.stop('SIGKILL'))
      letGo()
      await cutShort
      await expireAccessToken(world.t, host)
      expect((await mint(other, host)).code).toBe('reconnect_required')
      expect(await world.truth(host)).toMatchObject(LOST)
    },
  )

  test('so does that of a holder that slept and woke', REPEATS, async () => {
    const { host, holder, letGo, cutShort } = await overtaken(freeze)
    letGo()
    thaw(holder)
    await cutShort
    await expireAccessToken(world.t, host)
    expect((await mint(other, host)).code).toBe('reconnect_required')
    expect(await world.truth(host)).toMatchObject(LOST)
  })

  test(
    'so does the pair of a sleeper whose sibling had recovered meanwhile, and so killed the family',
    REPEATS,
    async () => {
      revokesFamilies()
      const host = await world.expiredHost()
      const holder = await shortLived()
      const { reached, letGo } = POINTS['K4 Zoom rotated, before its answer'](world)
      const answer = mint(holder, host)
      await reached
      await freeze(holder)
      await endLease(world.t, host)
      expect((await mint(other, host)).code).toBe('reconnect_required')
      letGo()
      thaw(holder)
      await answer
      await expect.poll(async () => (await grantRow(world.t, host)).gen, PATIENT).toBe(2)
      await expireAccessToken(world.t, host)
      expect((await mint(other, host)).code).toBe('reconnect_required')
      expect(await world.truth(host)).toMatchObject(LOST)
    },
  )

  test('a host that removed the app is still rejected_by_zoom: its history is clean', async () => {
    revokesFamilies()
    const host = await world.expiredHost()
    expect((await mint(one, host)).status).toBe(200)
    world.t.zoom.revokeGrant(host.email)
    await expireAccessToken(world.t, host)
    expect((await mint(other, host)).code).toBe('reconnect_required')
    const found = await world.truth(host)
    expect([found, faultOf(found, true)]).toMatchObject([{ reason: 'rejected_by_zoom' }, null])
  })
})

test.each(['same', 'another'] as const)(
  'where Zoom answers a dead refresh token for a while (with %s pair), what a killed holder lost is recovered, and a sleeper overwrites nothing',
  REPEATS,
  async (graceAnswer) => {
    world.t.zoom.setModes({ graceSeconds: 60, graceAnswer })
    for (const fate of [freeze, (target: Replica) => target.stop('SIGKILL')]) {
      const host = await world.expiredHost()
      const holder = await shortLived()
      const { reached, letGo } = POINTS['K4 Zoom rotated, before its answer'](world)
      const cutShort = mint(holder, host)
      await reached
      await fate(holder)
      await endLease(world.t, host)
      expect((await mint(other, host)).status).toBe(200)
      letGo()
      thaw(holder)
      await cutShort
      expect((await mint(one, host)).status).toBe(200)
      expect(await world.truth(host)).toMatchObject({ status: 'connected', isLive: true, isIntentOpen: false })
      expect((await grantRow(world.t, host)).gen).toBe(2)
    }
  },
)

test.each([true, false])(
  'no mint fails while its access token is replaced again and again; the refresh kills the old one: %s',
  async (refreshKillsAccessToken) => {
    world.t.zoom.setModes({ refreshKillsAccessToken })
    const host = await world.expiredHost()
    expect((await mint(one, host)).status).toBe(200)
    const failed: unknown[] = []
    let isOver = false
    const answered = [0, 0, 0, 0]
    const bots = [one, other, one, other].map(async (replica, bot) => {
      while (!isOver) {
        const answer = await mint(replica, host)
        if (answer.status !== 200) failed.push([answer.status, answer.code])
        answered[bot] = (answered[bot] ?? 0) + 1
      }
    })
    for (let gen = 3; gen <= 7; gen++) {
      // renewed in the background, while the old token is still lent
      const soon = `UPDATE grant_tokens SET access_expires_at = clock_timestamp() + interval '200 s' WHERE grant_id = $1`
      await rows(world.t, soon, [host.grantId])
      await expect.poll(async () => (await grantRow(world.t, host)).gen, PATIENT).toBe(gen)
      // each bot begins a mint of this generation: one that a starved machine stops over two renewals is refused twice, rightly
      const before = [...answered]
      await expect.poll(() => answered.every((count, bot) => count >= (before[bot] ?? 0) + 2), PATIENT).toBe(true)
    }
    isOver = true
    await Promise.all(bots)
    expect(failed).toEqual([])
    expect(await world.truth(host)).toMatchObject({ status: 'connected', isLive: true, isIntentOpen: false })
    expect(refreshCalls(world.t, host)).toBe(6)
  },
)
