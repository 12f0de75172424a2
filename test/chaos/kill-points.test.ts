import { expect, test } from 'vitest'
import { createGrantCipher } from '../../src/grants/cipher.ts'
import { createLocalKeyring } from '../../src/lib/sealing.ts'
import { createSecretBox } from '../../src/secrets/box.ts'
import { faultOf, truthOf } from './invariant.ts'
import { createWorld, type World } from './world.ts'

const CLIENT = 'simulator-client-id'
const REFRESH = { match: { grant_type: 'refresh_token' } } as const

async function truth({ t }: World) {
  const [kid, key] = String(t.settings.ENCRYPTION_KEYS).split(':') as [string, string]
  const keyring = createLocalKeyring([{ kid, key: Buffer.from(key, 'base64') }])
  const cipher = createGrantCipher(createSecretBox({ sql: t.app.sql, keyring }))
  const [only] = (await truthOf({ sql: t.app.sql, cipher }, (user) => t.zoom.liveRefreshToken(user, CLIENT))).values()
  if (!only) throw new Error('no grant')
  return only
}

/** Where a process can stand when it dies: `arrive` gives the moment it is there, `after` what happens once it is dead. */
interface Point {
  arrive(world: World): { reached: Promise<unknown>; after(): void }
  /** What the next bot gets, and how the grant ends. */
  mint: 200 | 'reconnect_required'
  status: string
  reason: string | null
  refreshes: number
}

const atStatement = (statement: string, when: 'request' | 'response') => (world: World) => {
  const held = world.proxy.hold({ statement, when })
  return { reached: held.reached, after: () => held.release() }
}
const atZoom =
  (fault: Parameters<World['t']['zoom']['setFault']>[0]) =>
  ({ t }: World) => {
    const handle = t.zoom.setFault(fault)
    return { reached: handle.hit(1), after: () => handle.clear() }
  }
const kept = { mint: 200, status: 'connected', reason: null } as const
const lost = { mint: 'reconnect_required', status: 'reconnect_required', reason: 'rotation_lost' } as const

const POINTS: Record<string, Point> = {
  'K1 before ACQUIRE': { ...kept, arrive: atStatement('grant_acquire', 'request'), refreshes: 1 },
  'K2 after ACQUIRE, before sending': { ...kept, arrive: atStatement('grant_acquire', 'response'), refreshes: 1 },
  'K3 sent, and Zoom never handles it': {
    ...kept,
    arrive: atZoom({ ...REFRESH, effect: 'never', action: { type: 'hold' } }),
    refreshes: 1,
  },
  'K3 sent, and Zoom handles it after the death': {
    ...lost,
    arrive: (world) => {
      const handle = world.t.zoom.setFault({ ...REFRESH, effect: 'after', action: { type: 'hold' } })
      return { reached: handle.hit(1), after: () => handle.release() }
    },
    refreshes: 1,
  },
  'K4 Zoom rotated, before its answer': {
    ...lost,
    arrive: atZoom({ ...REFRESH, effect: 'before', action: { type: 'hold' } }),
    refreshes: 1,
  },
  'K5 headers read, body not': {
    ...lost,
    arrive: atZoom({ ...REFRESH, effect: 'before', action: { type: 'hang', stage: 'after_headers' } }),
    refreshes: 1,
  },
  'K6 answer parsed, before PERSIST': { ...lost, arrive: atStatement('grant_persist', 'request'), refreshes: 1 },
  'K7 PERSIST done, not acknowledged': { ...kept, arrive: atStatement('grant_persist', 'response'), refreshes: 1 },
  'K8 acknowledged, before the caller has its answer': {
    ...kept,
    arrive: atZoom({ match: { path: '/v2/meetings' }, action: { type: 'hold' } }),
    refreshes: 1,
  },
}

test.each(Object.entries(POINTS))('kill -9 at %s: the host mints, or says why not', async (_name, point) => {
  const world = await createWorld()
  const [victim, survivor] = await Promise.all([world.replica(), world.replica()])
  await world.expire()
  const before = world.t.zoom.refreshes
  const { reached, after } = point.arrive(world)
  const cutShort = world.mint(victim)
  await reached
  await victim.stop('SIGKILL')
  after()
  expect((await cutShort).status).toBe(0)
  await world.endLease()
  const answer = await world.mint(survivor)
  expect(answer.code ?? answer.status).toBe(point.mint)
  const found = await truth(world)
  expect([found.status, found.reason, faultOf(found)]).toEqual([point.status, point.reason, null])
  expect(world.t.zoom.refreshes - before).toBe(point.refreshes)
})

test('kill -9 at K9 in VERDICT: the next attempt condemns the grant, and nobody mints', async () => {
  const world = await createWorld()
  const [victim, survivor] = await Promise.all([world.replica(), world.replica()])
  world.t.zoom.revokeGrant('host@example.com')
  await world.expire()
  const held = world.proxy.hold({ statement: 'grant_verdict', when: 'request' })
  const cutShort = world.mint(victim)
  await held.reached
  await victim.stop('SIGKILL')
  held.release()
  await cutShort
  await world.endLease()
  expect((await world.mint(survivor)).code).toBe('reconnect_required')
  expect(await truth(world)).toMatchObject({ status: 'reconnect_required', isLive: false })
})

test('SIGTERM while Zoom has rotated and not answered: the pair is stored before the process ends', async () => {
  const world = await createWorld()
  const target = await world.replica()
  await world.expire()
  const handle = world.t.zoom.setFault({ ...REFRESH, effect: 'before', action: { type: 'hold' } })
  const answer = world.mint(target)
  await handle.hit(1)
  const ended = target.stop('SIGTERM')
  handle.release()
  expect(await ended).toBe(0)
  await answer
  expect(await truth(world)).toMatchObject({ status: 'connected', isLive: true })
})

test('Postgres gone between Zoom’s answer and the write: the pair is stored when it comes back', async () => {
  const world = await createWorld()
  const target = await world.replica()
  await world.expire()
  const held = world.proxy.hold({ statement: 'grant_persist', when: 'request' })
  const answer = world.mint(target)
  await held.reached
  world.proxy.cut()
  held.release()
  expect((await answer).status).not.toBe(200)
  world.proxy.open()
  await expect.poll(() => truth(world), { timeout: 10_000 }).toMatchObject({ status: 'connected', isLive: true })
})
