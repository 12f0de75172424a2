import pg from 'pg'
import { declaredStatements } from '../../src/lib/sql.ts'
import type { TestDatabase } from './database.ts'

/** The text of the statement of this label, as its module declares it. */
export function bodyOf(label: string): string {
  const found = declaredStatements().find(({ name }) => name.replace(/_[0-9a-f]{12}$/, '') === label)
  if (!found) throw new Error(`no module that was loaded declares ${label}`)
  return found.body
}

/**
 * A session that runs a statement's own text as its function does: in the owner's role, under the same policies. What goes on inside a
 * function Postgres shows to nobody.
 */
export async function asFunction<T>(
  { ownerUrl }: Pick<TestDatabase, 'ownerUrl'>,
  use: (owner: pg.Client) => Promise<T>,
): Promise<T> {
  const owner = new pg.Client({ connectionString: ownerUrl, options: '-c app.across_tenants=on' })
  await owner.connect()
  try {
    return await use(owner)
  } finally {
    await owner.end()
  }
}

type PlanRow = { 'QUERY PLAN': string }

/** What Postgres says it would do. */
export const planIn = ({ rows }: pg.QueryResult<PlanRow>) => rows.map((row) => row['QUERY PLAN']).join('\n')

/** What Postgres would do to run the statement. */
export const planOf = (database: Pick<TestDatabase, 'ownerUrl'>, label: string, values: unknown[]): Promise<string> =>
  asFunction(database, async (owner) => planIn(await owner.query<PlanRow>(`EXPLAIN ${bodyOf(label)}`, values)))
