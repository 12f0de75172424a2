import { migrationNames } from './directory.ts'

/** Runs one statement without parameters; `pg`'s own `query` fits. */
export type MigrationQuery = (sql: string) => Promise<{ rows: unknown[] }>

export interface MigrationState {
  /** Ours that the database has not had, failed and unfinished ones included, oldest first. */
  pending: string[]
  /** What the database has had beyond this version's own: a newer version has been here. */
  newer: string[]
  /** Those of `newer` that said that older versions cannot work with them. */
  incompatible: string[]
}

interface HistoryRow {
  name: string
  isFinished: boolean
  isIncompatible: boolean
}

const HISTORY = `
  SELECT m.migration_name AS "name", bool_or(m.finished_at IS NOT NULL) AS "isFinished",
         bool_or(c.migration_name IS NOT NULL) AS "isIncompatible"
  FROM _prisma_migrations m LEFT JOIN schema_compatibility c USING (migration_name)
  WHERE m.rolled_back_at IS NULL
  GROUP BY 1 ORDER BY 1`

/**
 * Compares the database's history with the migrations in `migrationsDir`: one statement, and no migration engine, so
 * that every start can afford it. In a database with no history everything is pending.
 */
export async function pendingMigrations(query: MigrationQuery, migrationsDir: string): Promise<MigrationState> {
  const [names, history] = await Promise.all([migrationNames(migrationsDir), readHistory(query)])
  const finished = new Set(history.filter((row) => row.isFinished).map((row) => row.name))
  const own = new Set(names)
  const foreign = history.filter((row) => !own.has(row.name))
  return {
    pending: names.filter((name) => !finished.has(name)),
    newer: foreign.map((row) => row.name),
    incompatible: foreign.filter((row) => row.isIncompatible).map((row) => row.name),
  }
}

async function readHistory(query: MigrationQuery): Promise<HistoryRow[]> {
  try {
    const { rows } = await query(HISTORY)
    return rows as HistoryRow[]
  } catch (error) {
    // schema_compatibility comes with the first migration: without it, that one has not been applied
    if (isMissingTable(error)) return []
    throw error
  }
}

/** SQLSTATE 42P01, as `pg` reports it or as Prisma wraps it. */
function isMissingTable(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, originalCode, cause, meta, driverAdapterError } = error as Record<string, unknown>
  if (code === '42P01' || originalCode === '42P01') return true
  return isMissingTable(cause) || isMissingTable(meta) || isMissingTable(driverAdapterError)
}
