import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { FaultInput } from '../../simulator/fault-schema.ts'
import type { Simulator } from '../../simulator/server.ts'
import type { PostgresProxy } from '../helpers/postgres-proxy.ts'
import type { Fleet } from './fleet.ts'
import type { LossJudge } from './losses.ts'
import type { Random } from './random.ts'
import type { SoakReport } from './report.ts'

export interface Stage {
  random: Random
  fleet: Fleet
  zoom: Simulator
  proxy: PostgresProxy
  direct: pg.Pool
  judge: LossJudge
  report: SoakReport
  /** Stops the database at once, and starts it again after a while; absent where others use it too. */
  restartDatabase: ((awayMs: number) => Promise<void>) | undefined
  /**
   * Whether leases may be ended by hand, to save the wait for them. Not where Zoom revokes families: a request may then come
   * long after its lease, which 45 s make all but impossible in truth.
   */
  mayEndLeases: boolean
}

const REFRESH_FAULTS: Omit<FaultInput, 'match' | 'times'>[] = [
  { effect: 'before', action: { type: 'cut' } },
  { effect: 'before', action: { type: 'reset' } },
  { effect: 'after', action: { type: 'reset' } },
  { effect: 'before', action: { type: 'hang' } },
  { effect: 'before', action: { type: 'html' } },
  { effect: 'before', action: { type: 'delay', ms: 3000 } },
  { effect: 'before', action: { type: 'omit', field: 'refresh_token' } },
  { effect: 'never', action: { type: 'status', status: 500 } },
  { effect: 'before', action: { type: 'status', status: 502 } },
  { effect: 'never', action: { type: 'status', status: 429, headers: { 'retry-after': '2' } } },
]

const TERMINATE = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'latchkey' AND pid <> pg_backend_pid()`
const END_LEASES = `UPDATE grant_tokens SET lease_until = clock_timestamp()
  WHERE lease_until IS NOT NULL AND split_part(lease_owner, '/', 2) = $1`
const RECOVERY_MS = 2000 // back-off of writers included, until they have found the database again

/** What goes wrong next, by the seed: mostly kills, now and then everything else. */
export async function oneEvent(stage: Stage): Promise<void> {
  const { random, fleet, report } = stage
  const dice = random.next()
  if (dice < 0.62) {
    if (await fleet.kill()) report.kills += 1
  } else if (dice < 0.7) await nap(stage)
  else if (dice < 0.74) {
    report.rollingRestarts += 1
    if (((await fleet.roll()) ?? 0) !== 0) report.uncleanStops += 1
  } else if (dice < 0.8) await cut(stage)
  else if (dice < 0.82) await restart(stage)
  else spoil(stage)
}

async function nap({ random, fleet, direct, mayEndLeases, report }: Stage): Promise<void> {
  const isPastLease = random.next() < 0.5
  const ms = isPastLease && !mayEndLeases ? 47_000 : random.between(1000, 9000)
  const wasFrozen = await fleet.freeze(ms, async (pid) => {
    if (isPastLease && mayEndLeases) await direct.query(END_LEASES, [String(pid)]).catch(() => undefined)
  })
  if (wasFrozen) report.freezes += 1
}

async function cut({ random, proxy, direct, judge, report }: Stage): Promise<void> {
  report.databaseCuts += 1
  const end = judge.beginOutage()
  if (random.next() < 0.5) await direct.query(TERMINATE).catch(() => undefined)
  else {
    proxy.cut()
    await delay(random.between(200, 3000))
    proxy.open()
  }
  end(RECOVERY_MS)
}

async function restart({ random, judge, report, restartDatabase }: Stage): Promise<void> {
  if (!restartDatabase) return
  const end = judge.beginOutage()
  await restartDatabase(random.between(200, 6000))
  report.databaseRestarts += 1
  end(RECOVERY_MS)
}

function spoil({ random, zoom, report }: Stage): void {
  report.zoomFaults += 1
  const fault = random.pick(REFRESH_FAULTS)
  zoom.setFault({ match: { grant_type: 'refresh_token' }, times: random.between(1, 3), ...fault })
}
