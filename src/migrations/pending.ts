import { FUNCTION_SCHEMA } from '../lib/sql.ts'
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
  /** Statements of ours that the database has no function for, or none that whoever asks may call. */
  functions: string[]
}

interface HistoryRow {
  name: string
  isFinished: boolean
  isIncompatible: boolean
}

interface Found {
  history: HistoryRow[]
  functions: string[]
}

const HISTORY = `
  SELECT m.migration_name AS "name", bool_or(m.finished_at IS NOT NULL) AS "isFinished",
         bool_or(c.migration_name IS NOT NULL) AS "isIncompatible"
  FROM _prisma_migrations m LEFT JOIN schema_compatibility c USING (migration_name)
  WHERE m.rolled_back_at IS NULL
  GROUP BY 1 ORDER BY 1`
/** Of `pg_proc`: a function of ours that whoever asks may call. In SQL. */
export const IS_CALLABLE = `pronamespace = to_regnamespace('${FUNCTION_SCHEMA}') AND has_schema_privilege(pronamespace, 'USAGE')
             AND has_function_privilege(oid, 'EXECUTE')`
const FOUND = `
  SELECT (SELECT COALESCE(json_agg(h), '[]') FROM (${HISTORY}) h) AS history,
         (SELECT COALESCE(json_agg(proname), '[]') FROM pg_proc
           WHERE ${IS_CALLABLE}) AS functions`

/**
 * Compares the database's history with the migrations in `migrationsDir`, and its functions with the names of our statements: one
 * statement, and no migration engine, so that every start can afford it. In a database with no history everything is pending.
 */
export async function pendingMigrations(
  query: MigrationQuery,
  migrationsDir: string,
  statements: string[],
): Promise<MigrationState> {
  const [names, found] = await Promise.all([migrationNames(migrationsDir), read(query)])
  const { history } = found
  const functions = new Set(found.functions)
  const finished = new Set(history.filter((row) => row.isFinished).map((row) => row.name))
  const own = new Set(names)
  const foreign = history.filter((row) => !own.has(row.name))
  return {
    pending: names.filter((name) => !finished.has(name)),
    newer: foreign.map((row) => row.name),
    incompatible: foreign.filter((row) => row.isIncompatible).map((row) => row.name),
    functions: statements.filter((name) => !functions.has(name)),
  }
}

const NOT_THERE = new Set(['42P01', '42501', '3F000'])

async function read(query: MigrationQuery): Promise<Found> {
  const none = { history: [], functions: [] }
  try {
    const { rows } = await query(FOUND)
    return (rows[0] as Found | undefined) ?? none
  } catch (error) {
    // schema_compatibility comes with the first migration: without it, that one has not been applied. Without the right to read it, what
    // comes after all of them has not been done.
    if (isNotThere(error)) return none
    throw error
  }
}

/** SQLSTATE 42P01 (no such table), 42501 (no right to it) or 3F000 (nor to its schema), as `pg` reports it or as Prisma wraps it. */
function isNotThere(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, originalCode, cause, meta, driverAdapterError } = error as Record<string, unknown>
  if (NOT_THERE.has(String(code)) || NOT_THERE.has(String(originalCode))) return true
  return isNotThere(cause) || isNotThere(meta) || isNotThere(driverAdapterError)
}
