import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import type { TestProject } from 'vitest/node'
import { startScratchPostgres } from '../scripts/scratch-postgres.ts'
import { applyMigrations } from '../src/migrations/apply.ts'
import { MIGRATIONS_DIR, migrationNames, SCHEMA_PATH } from '../src/migrations/directory.ts'
import { onDatabase, type TestServer } from './helpers/database.ts'

const APPLICATION_NAME = 'latchkey-tests' // one connection of this name per run, open as long as the run

/**
 * One Postgres for the whole run, with a migrated database that test files clone. `DATABASE_TEST_URL` names another
 * server, Postgres 15 to 18, whose role must be allowed to create databases.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { stop, ...addresses } = await findServer()
  const admin = new Client({ connectionString: addresses.adminUrl, application_name: APPLICATION_NAME })
  await admin.connect()
  const template = `latchkey_template_${await hashOfMigrations()}`
  await dropLeftovers(admin, template)
  const run = process.pid.toString(36)
  const server: TestServer = { ...addresses, template, run }
  if (!(await exists(admin, template))) await makeTemplate(admin, server)
  project.provide('server', server)
  return async () => {
    await dropDatabases(admin, `latchkey_test_${run}_`)
    await admin.end()
    await stop()
  }
}

type Addresses = Pick<TestServer, 'adminUrl' | 'roleUrl'>

async function findServer(): Promise<Addresses & { stop: () => Promise<void> }> {
  const given = process.env.DATABASE_TEST_URL
  if (given) return { adminUrl: given, roleUrl: given, stop: () => Promise.resolve() }
  const { url, adminUrl, stop } = await startScratchPostgres()
  return { adminUrl, roleUrl: url, stop }
}

/** Databases of runs that were killed, and templates of other migrations. Another run under way keeps them all. */
async function dropLeftovers(admin: Client, template: string): Promise<void> {
  const others = 'SELECT FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()'
  if ((await admin.query(others, [APPLICATION_NAME])).rowCount !== 0) return
  await dropDatabases(admin, 'latchkey_test_')
  await dropDatabases(admin, 'latchkey_template_', template)
}

async function dropDatabases(admin: Client, prefix: string, except = ''): Promise<void> {
  const { rows } = await admin.query<{ name: string }>(
    'SELECT datname AS name FROM pg_database WHERE starts_with(datname, $1) AND datname <> $2',
    [prefix, except],
  )
  for (const { name } of rows) await admin.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
}

/** The template is named after the migrations' text, so that the next run finds it. */
async function hashOfMigrations(): Promise<string> {
  const hash = createHash('sha256')
  for (const name of await migrationNames(MIGRATIONS_DIR)) {
    hash.update(name).update(await readFile(join(MIGRATIONS_DIR, name, 'migration.sql')))
  }
  return hash.digest('hex').slice(0, 12)
}

/** It takes its name only when it is complete. */
async function makeTemplate(admin: Client, { roleUrl, template, run }: TestServer): Promise<void> {
  const draft = `latchkey_test_${run}_template`
  await admin.query(`CREATE DATABASE "${draft}" OWNER "${decodeURIComponent(new URL(roleUrl).username)}"`)
  await applyMigrations({
    connectionString: onDatabase(roleUrl, draft),
    schemaPath: SCHEMA_PATH,
    migrationsDir: MIGRATIONS_DIR,
    log: () => undefined,
  })
  await admin.query(`ALTER DATABASE "${draft}" RENAME TO "${template}"`).catch(async (error) => {
    if (!(await exists(admin, template))) throw error // else another run was faster
  })
}

async function exists(admin: Client, database: string): Promise<boolean> {
  const { rowCount } = await admin.query('SELECT FROM pg_database WHERE datname = $1', [database])
  return rowCount === 1
}
