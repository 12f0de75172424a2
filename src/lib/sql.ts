import { createHash } from 'node:crypto'
import type { Pool } from 'pg'
import { AppError } from '../errors.ts'

/** One SQL statement with its own name; `$1`… are its values. */
export interface Statement {
  readonly name: string
  readonly text: string
}

export interface Sql {
  /**
   * Runs one autocommit statement and gives its rows.
   * @throws store_unavailable when the database cannot be reached or did not answer in time: the outcome is then unknown
   */
  rows<Row>(statement: Statement, values: readonly unknown[]): Promise<Row[]>
}

/** Names a statement after its text too, so that two versions of the service behind one pooler never share a plan. */
export function statement(label: string, text: string): Statement {
  return { name: `${label}_${createHash('sha256').update(text).digest('hex').slice(0, 12)}`, text }
}

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
