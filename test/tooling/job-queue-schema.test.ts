import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { getConstructionPlans, PgBoss } from 'pg-boss'
import { expect, onTestFinished, test } from 'vitest'
import { MIGRATIONS_DIR } from '../../src/migrations/directory.ts'
import { createTestDatabase } from '../helpers/database.ts'

/** What makes a schema; not the transaction and the lock that pg-boss would run it under. */
const made = (sql: string) =>
  sql
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^(--|BEGIN;|COMMIT;|SET LOCAL |SELECT pg_advisory_xact_lock)/.test(line))

test('the migrations make the queue’s schema just as the installed pg-boss would', async () => {
  const folder = (await readdir(MIGRATIONS_DIR)).find((name) => name.endsWith('_job_queue'))
  const migration = await readFile(join(MIGRATIONS_DIR, String(folder), 'migration.sql'), 'utf8')
  expect(made(migration).join('\n')).toContain(made(getConstructionPlans('pgboss')).join('\n'))
})

test('pg-boss starts on a migrated database without the right to create anything', async () => {
  const database = await createTestDatabase()
  const boss = new PgBoss({ connectionString: database.appUrl, schema: 'pgboss', migrate: false, createSchema: false })
  boss.on('error', () => {})
  onTestFinished(async () => {
    await boss.stop({ graceful: false })
    await database.drop()
  })
  await boss.start()
  expect((await boss.detectSchemaDrift()).ok).toBe(true)
})
