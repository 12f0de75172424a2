import { createHash } from 'node:crypto'
import type { Pool } from 'pg'
import { AppError } from '../errors.ts'

/** One SQL statement with its own name; `$1`… are its values. */
export interface Statement {
  readonly name: string
  readonly text: string
}

/** One that the role of the minting path may run too. */
export interface MintStatement extends Statement {
  readonly mints: true
}

/** What the database keeps as a function of its own, and calls by the statement's name (ADR 0023). */
export interface DeclaredStatement {
  readonly name: string
  readonly body: string
  readonly mints: boolean
}

/** On connections of the minting path's role, which may run nothing else. */
export interface MintSql {
  /** As `Sql.rows`. @throws store_unavailable */
  rows<Row>(statement: MintStatement, values: readonly unknown[]): Promise<Row[]>
}

export interface Sql {
  /**
   * Runs one autocommit statement and gives its rows.
   * @throws store_unavailable when the database cannot be reached or did not answer in time: the outcome is then unknown
   */
  rows<Row>(statement: Statement, values: readonly unknown[]): Promise<Row[]>
}

const declared = new Map<string, DeclaredStatement>()

/** All that the modules loaded so far declare. `latchkey migrate` loads every module and makes a function of each. */
export const declaredStatements = (): DeclaredStatement[] => [...declared.values()]

/** The schema that the statements' functions are in. Not `latchkey`: a role of that name would find its own tables there first (`$user`). */
export const FUNCTION_SCHEMA = 'latchkey_statements'

// What src/migrations/statement-functions.ts puts around a statement. Raised whenever that changes: a function of a name stays as it is.
const FORM = 1

/**
 * Names a statement after its text and whose it is too, so that two versions of the service on one database, or behind one pooler, never share a
 * function or a plan. What is sent is the call of its function: that one runs over all tenants, and no role can read a table by it.
 */
function declare(label: string, body: string, mints: boolean): Statement {
  const name = `${label}_${createHash('sha256')
    .update(`${FORM} ${mints ? 'mint' : 'main'} ${body}`)
    .digest('hex')
    .slice(0, 12)}`
  const places = [...body.matchAll(/\$(\d+)/g)].map(([, place]) => Number(place))
  const values = Array.from({ length: Math.max(0, ...places) }, (_, index) => `$${index + 1}`).join(', ')
  declared.set(name, { name, body, mints })
  return { name, text: `SELECT * FROM ${FUNCTION_SCHEMA}.${name}(${values})` }
}

/** A statement of the service, for the role of `DATABASE_URL`. To be declared as the module loads. */
export const statement = (label: string, body: string): Statement => declare(label, body, false)

/** A statement of the minting path, for the role of `DATABASE_MINT_URL` and that of `DATABASE_URL`. */
export const mintStatement = (label: string, body: string): MintStatement => ({
  ...declare(label, body, true),
  mints: true,
})

// 26000: the pooler gave us a server that never saw the statement; 42P05: one that another client prepared it on.
// Both come before anything ran, so running it again without a name is safe.
const NOT_PREPARED = new Set(['26000', '42P05'])

// Classes of SQLSTATE that say nothing about our statement: connection, resources, operator intervention, wrong login.
const UNAVAILABLE = /^(08|53|57|58|28|3D|25006|40001|40P01|55000|55P03)/

/** Whether a database error means "cannot say" rather than "refused". A dead backend's error carries no code at all. */
export function isStoreUnavailable(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return typeof code !== 'string' || UNAVAILABLE.test(code) || !/^[0-9A-Z]{5}$/.test(code)
}

/**
 * Named prepared statements over a pool: a fifth of the cost of the same statement through the query builder. Behind a
 * pooler that does not carry them it falls back, once and for all, to unnamed ones.
 */
export function createSql(pool: Pool): Sql {
  let isNaming = true
  async function run(query: { name?: string; text: string; values: unknown[] }) {
    try {
      return await pool.query(query)
    } catch (error) {
      if (query.name && NOT_PREPARED.has(String((error as { code?: unknown }).code))) {
        isNaming = false
        return await run({ text: query.text, values: query.values })
      }
      if (error instanceof Error && isStoreUnavailable(error))
        throw new AppError('store_unavailable', 'The database did not answer; try again.', { cause: error })
      throw error
    }
  }
  return {
    async rows<Row>({ name, text }: Statement, values: readonly unknown[]) {
      const result = await run(isNaming ? { name, text, values: [...values] } : { text, values: [...values] })
      return result.rows as Row[]
    },
  }
}

/**
 * COALESCE of two columns, in SQL, for a condition on a table under policies. Postgres fears that COALESCE itself may tell of rows that a
 * policy hides: it would read every row of the tenant instead of asking the index for the one (ADR 0023).
 */
export const eitherOf = (first: string, second: string): string =>
  `CASE WHEN ${first} IS NULL THEN ${second} ELSE ${first} END`
