import pg from 'pg'
import { declaredStatements, type Statement } from '../../src/lib/sql.ts'
import type { TestApp } from './app.ts'

/**
 * A session that runs a statement's own text as its function does: in the owner's role, under the same policies. What goes on inside a
 * function Postgres shows to nobody.
 */
export async function asFunction<T>(t: TestApp, use: (owner: pg.Client) => Promise<T>): Promise<T> {
  const owner = new pg.Client({ connectionString: t.database.ownerUrl, options: '-c app.across_tenants=on' })
  await owner.connect()
  try {
    return await use(owner)
  } finally {
    await owner.end()
  }
}

/** What Postgres would do to run it. */
export async function planOf(t: TestApp, { name }: Statement, values: unknown[]): Promise<string> {
  const body = declaredStatements().find((declared) => declared.name === name)?.body
  const { rows } = await asFunction(t, (owner) => owner.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${body}`, values))
  return rows.map((row) => row['QUERY PLAN']).join('\n')
}
