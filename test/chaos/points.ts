import type { FaultInput } from '../../simulator/fault-schema.ts'
import type { Moment } from '../helpers/postgres-proxy.ts'
import type { World } from './world.ts'

/** Repeats each test of a point: once as a rule, more often in `npm run chaos -- --points <times>`. */
export const REPEATS = { repeats: Number(process.env.CHAOS_REPEATS ?? 1) - 1 }

/** A place where a process can stand in mid-refresh: how to see that it stands there, and how the rest of the world goes on. */
export type Arrive = (world: World) => { reached: Promise<unknown>; letGo(): void }

const atStatement =
  (moment: Moment): Arrive =>
  ({ proxy }) => {
    const held = proxy.hold(moment)
    return { reached: held.reached, letGo: () => held.release() }
  }

const atZoom =
  (fault: Omit<FaultInput, 'match'>, match: FaultInput['match'] = { grant_type: 'refresh_token' }): Arrive =>
  ({ t }) => {
    const handle = t.zoom.setFault({ match, ...fault })
    return { reached: handle.hit(1), letGo: () => handle.clear() }
  }

export const POINTS = {
  'K1 before ACQUIRE': atStatement({ statement: 'grant_acquire', when: 'request' }),
  'K2 after ACQUIRE, before sending': atStatement({ statement: 'grant_acquire', when: 'response' }),
  'K3 sent, and Zoom never handles it': atZoom({ effect: 'never', action: { type: 'hold' } }),
  'K3 sent, and Zoom handles it late': atZoom({ effect: 'after', action: { type: 'hold' } }),
  'K4 Zoom rotated, before its answer': atZoom({ effect: 'before', action: { type: 'hold' } }),
  'K5 headers read, body not': atZoom({ effect: 'before', action: { type: 'drip', intervalMs: 2 } }),
  'K6 answer parsed, before PERSIST': atStatement({ statement: 'grant_persist', when: 'request' }),
  'K7 PERSIST done, not acknowledged': atStatement({ statement: 'grant_persist', when: 'response' }),
  'K8 acknowledged, before the caller has its answer': atZoom({ action: { type: 'hold' } }, { path: '/v2/meetings' }),
} satisfies Record<string, Arrive>
