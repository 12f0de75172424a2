import type { FastifyBaseLogger } from 'fastify'
import type { Pool } from 'pg'
import type { Db, JobInsert, PgBoss, QueueOptions, QueuePolicy, WorkOptions } from 'pg-boss'

/** One kind of job: how it is kept, how many run at once, and what runs it. */
export interface QueueDefinition<Data extends object = object> {
  name: string
  /** `exclusive`: at most one job per singleton key is waiting or running, over all replicas. */
  policy: QueuePolicy
  options: QueueOptions
  /** Jobs at once in each replica. */
  workers: number
  work: Omit<WorkOptions, 'localConcurrency' | 'batchSize'>
  /** A job that throws is tried again as `options` say. `signal`: the process stops or the job has run too long. */
  run: (data: Data, signal: AbortSignal) => Promise<unknown>
  /** Cron expression in UTC: one job each time, whatever the number of replicas. */
  cron?: string
}

export interface JobQueue {
  /** Starts working on the queues; a second call does nothing. @throws what the database throws; call again later */
  ensureStarted(definitions: QueueDefinition[]): Promise<void>
  isStarted(): boolean
  /** Files jobs through `db`, a transaction of the caller's: they exist if and only if it commits. */
  insert(name: string, jobs: JobInsert[], db?: Db): Promise<void>
  /** Looks for jobs of this queue now instead of at the next poll. */
  wake(name: string): void
  /** Nothing new is begun; what is under way has this long to end, and is done again later by somebody if it does not. */
  stop(graceMs: number): Promise<void>
}

export interface JobQueueDeps {
  pool: Pool
  log: Pick<FastifyBaseLogger, 'warn' | 'info'>
  /** In a copy of another installation's database no job runs: its jobs are the original's. */
  isForeign: () => boolean
  now: () => number
}

// while the database is away every worker says so at every poll
const COMPLAIN_EVERY_MS = 30_000

/** pg-boss talks through a pool of ours. A text of several statements gives several results: the last one counts. */
function throughPool(pool: Pool): Db {
  return {
    async executeSql(text, values) {
      const result = await pool.query(text, values)
      return Array.isArray(result) ? result.at(-1) : result
    },
  }
}

/**
 * The job queue, on the service's own Postgres. Its schema comes with our migrations. The library is loaded when the queue starts: no
 * request waits for it.
 * @see https://pgboss.io
 */
export function createJobQueue({ pool, log, isForeign, now }: JobQueueDeps): JobQueue {
  let boss: PgBoss | null = null
  let starting: Promise<void> | null = null
  let stopping: Promise<void> | null = null
  const workIds = new Map<string, string[]>()
  let complainedAtMs = Number.NEGATIVE_INFINITY

  function complain(error: unknown): void {
    if (now() - complainedAtMs < COMPLAIN_EVERY_MS) return
    complainedAtMs = now()
    log.warn({ err: error }, 'the job queue met an error; it goes on')
  }

  async function work(made: PgBoss, definition: QueueDefinition): Promise<void> {
    const { name, policy, options, workers, cron } = definition
    await made.createQueue(name, { policy, ...options })
    await made.updateQueue(name, options) // a release may have other options than the row has
    if (cron) await made.schedule(name, cron)
    workIds.set(name, [])
    for (let worker = 0; worker < workers; worker++) await addWorker(made, definition)
  }

  /** Of one job at a time: a slow one holds up one worker. It looks for the next at once after each, and else at its interval. */
  async function addWorker(made: PgBoss, { name, work, run }: QueueDefinition): Promise<void> {
    const workId: string = await made.work(name, work, async (jobs) => {
      made.notifyWorker(workId)
      for (const { data, signal } of jobs) {
        if (isForeign()) throw new Error('the database belongs to another installation')
        await run(data as object, signal)
      }
    })
    workIds.get(name)?.push(workId)
  }

  async function start(definitions: QueueDefinition[]): Promise<void> {
    const { PgBoss } = await import('pg-boss')
    const made = new PgBoss({
      db: throughPool(pool),
      schema: 'pgboss',
      migrate: false,
      createSchema: false,
      registerInstance: false,
      reindex: false, // the service's role does not own the tables
      monitorVacuum: false,
      monitorIntervalSeconds: 30, // a job of a process that died is noticed this soon after its time
      openTelemetry: { enabled: false },
    })
    made.on('error', complain)
    try {
      await made.start()
      for (const definition of definitions) await work(made, definition)
    } catch (error) {
      await made.stop({ graceful: false, close: false }).catch(() => {})
      throw error
    }
    boss = made
    log.info({ queues: definitions.map(({ name }) => name) }, 'the job queue works')
  }

  async function stop(graceMs: number): Promise<void> {
    await starting?.catch(() => {})
    const ending = boss
    boss = null
    await ending?.stop({ graceful: true, timeout: graceMs, close: false })
  }

  return {
    async ensureStarted(definitions) {
      if (boss || stopping) return
      starting ??= start(definitions).finally(() => {
        starting = null
      })
      await starting
    },
    isStarted: () => boss !== null,
    async insert(name, jobs, db) {
      if (!boss) throw new Error('the job queue has not started')
      await boss.insert(name, jobs, db ? { db } : {})
    },
    wake(name) {
      for (const workId of workIds.get(name) ?? []) boss?.notifyWorker(workId)
    },
    stop(graceMs) {
      stopping ??= stop(graceMs)
      return stopping
    },
  }
}
