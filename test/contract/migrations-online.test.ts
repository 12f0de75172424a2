import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const DIRECTORY = join(import.meta.dirname, '..', '..', 'prisma', 'migrations')
/** What every mint, refresh or connection reads or writes. */
const BUSY = ['passes', 'mints', 'hosts', 'grants', 'grant_tokens', 'zoom_apps']
// nothing ran before the first; the second was released as it is
const BEFORE = '20261124130000'
const LOCKS =
  /ALTER TABLE "(?<altered>\w+)"|CREATE (?:UNIQUE )?INDEX "\w+" ON "(?<indexed>\w+)"|CREATE (?:OR REPLACE )?TRIGGER [^;]*? ON "(?<told>\w+)"/g

const lockedBy = (sql: string) => {
  const tables = [...sql.matchAll(LOCKS)].map(({ groups }) => groups?.altered ?? groups?.indexed ?? groups?.told ?? '')
  return [...new Set(tables)].filter((table) => BUSY.includes(table))
}
const migrations = readdirSync(DIRECTORY).filter((name) => /^\d/.test(name) && name > BEFORE)

test('there are migrations to look at', () => expect(migrations.length).toBeGreaterThan(5))

test.each(migrations)('%s can be applied beside mints: of the tables they use it locks one at most', (name) => {
  const sql = readFileSync(join(DIRECTORY, name, 'migration.sql'), 'utf8')
  expect(lockedBy(sql).length).toBeLessThanOrEqual(1)
  // a lock that is held while rows are written keeps every mint waiting
  if (lockedBy(sql).length > 0) expect(sql).not.toMatch(/^UPDATE /m)
})
