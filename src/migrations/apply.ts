import { Client } from 'pg'
import { type Access, prepareAccess, settleAccess } from './access.ts'
import { type EngineOptions, withMigrationEngine } from './engine.ts'

export interface ApplyOptions extends EngineOptions {
  log: (message: string, fields: { migrations: string[] }) => void
  /** Left out, the tables alone are made. */
  access?: Access
  /** For everything: waiting for other machines, then applying. */
  deadlineMs?: number
}

/** One number for all Latchkey databases of a server: advisory locks are per database. */
const MIGRATION_LOCK = 4_705_331
const DEADLINE_MS = 600_000 // an index on a large table takes minutes

/**
 * Applies pending migrations as `prisma migrate deploy` does, one machine at a time: the others wait, and then find
 * nothing left to do. A migration that an earlier run began and did not finish left nothing behind (each is one
 * transaction), so it is begun again.
 * @returns names of what was applied, oldest first
 */
export async function applyMigrations(options: ApplyOptions): Promise<string[]> {
  const { log, access, connectionString, deadlineMs = DEADLINE_MS } = options
  return withMigrationLock(connectionString, deadlineMs, async () => {
    const roles = access && (await prepareAccess(connectionString, access))
    return await withMigrationEngine(options, async (engine) => {
      const unfinished = await engine.unfinished()
      for (const name of unfinished) await engine.markRolledBack(name)
      if (unfinished.length > 0) log('beginning unfinished migrations again', { migrations: unfinished })
      const applied = await engine.apply().catch(explain)
      log(applied.length > 0 ? 'migrations applied' : 'no migration was pending', { migrations: applied })
      if (access && roles) await settleAccess(connectionString, roles, access)
      return applied
    })
  })
}

/** The engine's message ends with a trace of its own source files; the migration's name is in there only. */
function explain(cause: unknown): never {
  const message = cause instanceof Error ? cause.message : String(cause)
  const [, name] = /migration_name="([^"]+)"/.exec(message) ?? []
  const [reason] = message.split(/\n\s+0: /)
  throw new Error(name ? `Migration ${name} failed; nothing of it was kept. ${reason}` : reason, { cause })
}

async function withMigrationLock<T>(connectionString: string, deadlineMs: number, work: () => Promise<T>): Promise<T> {
  const client = new Client({ connectionString })
  client.on('error', () => undefined) // the next statement reports it
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, deadlineMs, new Error(`Migrations were not done within ${deadlineMs / 1000} s`))
  })
  const locked = async () => {
    await client.connect()
    await client.query('BEGIN') // the lock ends with the transaction, so a pooler that pins one is enough
    await client.query('SET LOCAL idle_in_transaction_session_timeout = 0')
    await client.query('SET LOCAL lock_timeout = 0') // the deadline here bounds the wait, not the role's limit for DDL
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    return work()
  }
  try {
    return await Promise.race([locked(), late])
  } finally {
    clearTimeout(timer)
    await client.end().catch(() => undefined)
  }
}
