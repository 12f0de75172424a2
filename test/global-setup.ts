import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import type { TestProject } from 'vitest/node'
import { startScratchPostgres } from '../scripts/scratch-postgres.ts'
import { declaredStatements } from '../src/lib/sql.ts'
import { migrateDatabase } from '../src/migrate.ts'
import { MIGRATIONS_DIR, migrationNames } from '../src/migrations/directory.ts'
import { onDatabase, type TestServer } from './helpers/database.ts'

const ACCESS_DIR = join(import.meta.dirname, '..', 'src', 'migrations')
const APPLICATION_NAME = 'latchkey-tests' // one connection of this name per run, open as long as the run

/**
 * One Postgres for the whole run, with a migrated database that test files clone. `DATABASE_TEST_URL` names another
 * server, Postgres 15 to 18, and its superuser.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { stop, ...found } = await findServer()
  const admin = new Client({ connectionString: found.adminUrl, application_name: APPLICATION_NAME })
  await admin.connect()
  const addresses = { ...found, ...(await makeRoles(admin, found.ownerUrl)) }
  const template = `latchkey_template_${await hashOfSchema()}`
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

type Addresses = Pick<TestServer, 'adminUrl' | 'ownerUrl'>

async function findServer(): Promise<Addresses & { stop: () => Promise<void> }> {
  const given = process.env.DATABASE_TEST_URL
  if (given) return { adminUrl: given, ownerUrl: given, stop: () => Promise.resolve() }
  const { url, adminUrl, stop } = await startScratchPostgres()
  return { adminUrl, ownerUrl: url, stop }
}

/** The service's two roles. Their password is made of the owner's, so that runs beside each other agree. */
async function makeRoles(admin: Client, ownerUrl: string): Promise<Pick<TestServer, 'appUrl' | 'mintUrl'>> {
  const password = createHash('sha256').update(new URL(ownerUrl).password).digest('hex')
  const urlOf = async (role: string) => {
    const make = `CREATE ROLE ${role}`
    await admin.query(make).catch((error: { code?: unknown }) => {
      if (!['42710', '23505'].includes(String(error.code))) throw error // it is there, or another run was faster
    })
    await admin.query(`ALTER ROLE ${role} LOGIN PASSWORD '${password}'`)
    return Object.assign(new URL(ownerUrl), { username: role, password }).href
  }
  return { appUrl: await urlOf('latchkey_test_app'), mintUrl: await urlOf('latchkey_test_mint') }
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

/** The template is named after the migrations' text, the statements' names and how both are made, so that the next run finds it. */
async function hashOfSchema(): Promise<string> {
  const hash = createHash('sha256')
  for (const name of await migrationNames(MIGRATIONS_DIR)) {
    hash.update(name).update(await readFile(join(MIGRATIONS_DIR, name, 'migration.sql')))
  }
  for (const { name } of declaredStatements()) hash.update(name)
  for (const file of ['roles.ts', 'statement-functions.ts']) hash.update(await readFile(join(ACCESS_DIR, file)))
  return hash.digest('hex').slice(0, 12)
}

/** It takes its name only when it is complete. */
async function makeTemplate(admin: Client, { ownerUrl, appUrl, mintUrl, template, run }: TestServer): Promise<void> {
  const draft = `latchkey_test_${run}_template`
  await admin.query(`CREATE DATABASE "${draft}" OWNER "${decodeURIComponent(new URL(ownerUrl).username)}"`)
  const urls = {
    DATABASE_MIGRATION_URL: onDatabase(ownerUrl, draft),
    DATABASE_URL: onDatabase(appUrl, draft),
    DATABASE_MINT_URL: onDatabase(mintUrl, draft),
  }
  await migrateDatabase(urls, () => undefined)
  await admin.query(`ALTER DATABASE "${draft}" RENAME TO "${template}"`).catch(async (error) => {
    if (!(await exists(admin, template))) throw error // else another run was faster
  })
}

async function exists(admin: Client, database: string): Promise<boolean> {
  const { rowCount } = await admin.query('SELECT FROM pg_database WHERE datname = $1', [database])
  return rowCount === 1
}
