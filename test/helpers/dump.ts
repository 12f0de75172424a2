import type { TestApp } from './app.ts'
import { rows } from './connect.ts'

/** Every row of every table, but for `except`, as text, bytes also read as the text they may be. */
export async function dump(t: TestApp, except = ''): Promise<string> {
  const tables = await rows<{ name: string; bytes: string[] }>(
    t,
    `SELECT c.relname AS name, COALESCE(array_agg(a.attname::text) FILTER (WHERE a.atttypid = 'bytea'::regtype), '{}') AS bytes
       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> $1 GROUP BY c.relname`,
    [except],
  )
  if (tables.length < 15) throw new Error('the dump has not found the tables')
  const texts = await Promise.all(
    tables.map(async ({ name, bytes }) => {
      const columns = [
        't::text',
        ...bytes.flatMap((column) => [`encode("${column}", 'escape')`, `encode("${column}", 'base64')`]),
      ]
      const found = await rows<{ row: string }>(
        t,
        `SELECT concat_ws(' ', ${columns.join(', ')}) AS row FROM "${name}" t`,
      )
      return found.map(({ row }) => row.replaceAll('\n', '')).join('\n')
    }),
  )
  return texts.join('\n')
}
