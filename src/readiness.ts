import { declaredStatements, type Sql } from './lib/sql.ts'
import { MIGRATIONS_DIR } from './migrations/directory.ts'
import { pendingMigrations } from './migrations/pending.ts'

export type Readiness = ReturnType<typeof createReadiness>

/** Whether this replica should be sent requests, and the one word why not. */
export function createReadiness({
  sql,
  lookAtDatabase,
  isForeign,
}: {
  sql: Sql
  lookAtDatabase: () => Promise<void>
  isForeign: () => boolean
}) {
  let isStopping = false
  let isMigrated = false

  /** One query, and none once nothing was pending: our own migrations do not come undone under us. */
  async function migrations() {
    const rows = (text: string) =>
      sql.rows<unknown>({ name: 'migrations_pending', text }, []).then((found) => ({ rows: found }))
    const statements = declaredStatements().map(({ name }) => name)
    const state = await pendingMigrations(rows, MIGRATIONS_DIR, statements)
    isMigrated = [state.pending, state.incompatible, state.functions].every(({ length }) => length === 0)
    return state
  }
  return {
    migrations,
    stopping(): void {
      isStopping = true
    },
    /** Null when ready. */
    async notReady(): Promise<string | null> {
      if (isStopping) return 'stopping'
      try {
        if (!isMigrated) await migrations()
        if (!isMigrated) return 'migrations_pending'
        await lookAtDatabase()
      } catch {
        return 'database_unreachable' // it may answer, but not to us: whoever reads this word looks there
      }
      return isForeign() ? 'foreign_database' : null
    },
  }
}
