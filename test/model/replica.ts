import { Registry } from 'prom-client'
import { AppError } from '../../src/errors.ts'
import { createGrants, type GrantsOptions } from '../../src/grants/compose.ts'
import { createGrantMetrics } from '../../src/grants/metrics.ts'
import type { LocalKeyring } from '../../src/lib/sealing.ts'
import type { Sql, Statement } from '../../src/lib/sql.ts'
import { createSecretBox } from '../../src/secrets/box.ts'
import type { ZoomHttp } from '../../src/zoom/http.ts'
import { createZoomOAuth } from '../../src/zoom/oauth.ts'
import type { Activity } from './activity.ts'
import { CLIENT } from './zoom.ts'

/** What befalls the next statement of this name. `before` it reaches the database, or `after` it took effect. */
export interface StatementFault {
  label: string
  phase: 'before' | 'after'
  kind: 'fail' | 'hold'
}

export interface HeldStatement {
  replica: Replica
  label: string
  phase: 'before' | 'after'
  /** Whoever sent it waits no longer: it is dead, or has given up. */
  isAbandoned: boolean
  release(): void
  giveUp(): void
}

export interface ReplicaOptions {
  name: string
  sql: Sql
  activity: Activity
  keyring: LocalKeyring
  log: GrantsOptions['log']
  nowMs: () => number
  /** The token endpoint, as this replica reaches it. */
  send: (replica: Replica, ...request: Parameters<ZoomHttp['send']>) => ReturnType<ZoomHttp['send']>
  /** Told of each statement that took effect. */
  observe: (replica: Replica, label: string, values: readonly unknown[], rows: unknown[]) => void
}

export interface Replica {
  readonly name: string
  readonly vault: ReturnType<typeof createGrants>['vault']
  isPaused: boolean
  isDead: boolean
  faults: StatementFault[]
  held: HeldStatement[]
  /** Waits while the process is stopped; for ever once it is dead: whatever it would do next never happens. */
  pass(): Promise<void>
  resume(): void
  kill(): void
}

const unavailable = () => new AppError('store_unavailable', 'The database did not answer; try again.')
const labelOf = ({ name }: Statement) => name.replace(/_[0-9a-f]{12}$/, '')

/** One process of the service as far as grants go: the vault, its memory, its clock, its ways to the database and to Zoom. */
export function createReplica(options: ReplicaOptions): Replica {
  const { name, keyring, log, nowMs, send } = options
  let wakers: (() => void)[] = []

  async function pass(): Promise<void> {
    while (replica.isPaused && !replica.isDead) await new Promise<void>((resolve) => wakers.push(resolve))
    if (replica.isDead) await new Promise(() => {})
  }
  const sql = createFaultySql(options, () => replica)
  const replica: Replica = {
    name,
    vault: createGrants({
      sql,
      mint: sql,
      reserve: sql,
      box: createSecretBox({ sql, removals: sql, keyring }),
      oauth: createZoomOAuth({ http: { send: (request) => send(replica, request) } }),
      users: { me: async () => ({ outcome: 'unavailable' }) },
      credentialsOf: async () => CLIENT,
      owner: name,
      isForeign: () => false,
      refreshMarginSeconds: 300,
      keepAliveHours: 168,
      metrics: createGrantMetrics(new Registry()),
      monotonicNow: nowMs,
      random: () => 0.5,
      log,
    }).vault,
    isPaused: false,
    isDead: false,
    faults: [],
    held: [],
    pass,
    resume() {
      replica.isPaused = false
      const woken = wakers
      wakers = []
      for (const wake of woken) wake()
    },
    kill() {
      replica.isDead = true
      replica.held = replica.held.filter((held) => held.phase === 'before')
      for (const held of replica.held) held.isAbandoned = true
    },
  }
  return replica
}

/** The real database, with statements that fail or hang on their way there or back. */
function createFaultySql({ sql, activity, observe }: ReplicaOptions, self: () => Replica): Sql {
  function takeFault(label: string): StatementFault | undefined {
    const { faults } = self()
    const index = faults.findIndex((fault) => fault.label === label)
    return index < 0 ? undefined : faults.splice(index, 1)[0]
  }

  function hold(label: string, phase: 'before' | 'after') {
    const replica = self()
    const released = Promise.withResolvers<void>()
    const gaveUp = Promise.withResolvers<never>()
    gaveUp.promise.catch(() => {})
    const held: HeldStatement = {
      replica,
      label,
      phase,
      isAbandoned: false,
      release() {
        replica.held = replica.held.filter((other) => other !== held)
        released.resolve()
      },
      giveUp() {
        held.isAbandoned = true
        gaveUp.reject(unavailable())
        if (phase === 'after') held.release()
      },
    }
    replica.held.push(held)
    return { released: released.promise, gaveUp: gaveUp.promise }
  }

  return {
    async rows<Row>(statement: Statement, values: readonly unknown[]) {
      const replica = self()
      const label = labelOf(statement)
      await replica.pass()
      const fault = takeFault(label)
      const run = async () => {
        const rows = await activity.during(() => sql.rows<Row>(statement, values))
        observe(replica, label, values, rows)
        return rows
      }
      const isFirst = !fault || fault.phase === 'after'
      const early = isFirst ? await run() : []
      if (fault?.kind === 'fail') {
        await replica.pass()
        throw unavailable()
      }
      if (fault?.kind === 'hold') {
        const { released, gaveUp } = hold(label, fault.phase)
        const answer = released.then(() => (isFirst ? early : run()))
        answer.catch(() => {})
        const rows = await Promise.race([answer, gaveUp])
        await replica.pass()
        return rows
      }
      await replica.pass()
      return early
    },
  }
}
