import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import { inject } from 'vitest'

/** The server of this test run, made in test/global-setup.ts. */
export interface TestServer {
  /** A superuser: makes and drops databases, and sees every tenant's rows. */
  adminUrl: string
  /** Owns every test database, and is no superuser. */
  ownerUrl: string
  /** The roles that the service connects as. */
  appUrl: string
  mintUrl: string
  /** A migrated, empty database. */
  template: string
  /** Tells this run's databases from those of another. */
  run: string
}

declare module 'vitest' {
  interface ProvidedContext {
    server: TestServer
  }
}

export interface TestDatabase {
  /** For a test that looks, or meddles, behind the service's back. */
  adminUrl: string
  /** What migrates. */
  ownerUrl: string
  /** What the service is given. */
  appUrl: string
  mintUrl: string
  drop(): Promise<void>
}

export interface TestDatabaseOptions {
  /** `true` for one without tables, to migrate in the test. */
  empty?: boolean
}

/**
 * A database of its own for a test file: a clone of the migrated template, some 100 ms. Drop it in `afterAll`; what stays
 * connected is cut off after a moment. The run drops what is forgotten.
 */
export async function createTestDatabase({ empty = false }: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { adminUrl, ownerUrl, appUrl, mintUrl, template, run } = inject('server')
  const name = `latchkey_test_${run}_${randomBytes(6).toString('hex')}`
  const owner = decodeURIComponent(new URL(ownerUrl).username)
  const source = empty ? 'template0' : template
  await ask(adminUrl, `CREATE DATABASE "${name}" TEMPLATE "${source}" OWNER "${owner}"`)
  return {
    adminUrl: onDatabase(adminUrl, name),
    ownerUrl: onDatabase(ownerUrl, name),
    appUrl: onDatabase(appUrl, name),
    mintUrl: onDatabase(mintUrl, name),
    async drop() {
      await becomesFree(adminUrl, name, 40)
      await ask(adminUrl, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
    },
  }
}

/** A copy of a database as it is now, as a backup would hold it: whoever is connected is cut off first. */
export async function backUp(
  url: string,
): Promise<{ url: string; adminUrl: string; restore(): Promise<void>; drop(): Promise<void> }> {
  const { adminUrl, ownerUrl } = inject('server')
  const name = databaseOf(url)
  const backup = `${name}_backup`
  const owner = decodeURIComponent(new URL(ownerUrl).username)
  await alone(adminUrl, name, `CREATE DATABASE "${backup}" TEMPLATE "${name}" OWNER "${owner}"`)
  return {
    url: onDatabase(url, backup),
    adminUrl: onDatabase(adminUrl, backup),
    /** Puts it in the original's place, under its name. */
    async restore() {
      await ask(adminUrl, `DROP DATABASE "${name}" WITH (FORCE)`)
      await alone(adminUrl, backup, `ALTER DATABASE "${backup}" RENAME TO "${name}"`)
    },
    drop: async () => void (await ask(adminUrl, `DROP DATABASE IF EXISTS "${backup}" WITH (FORCE)`)),
  }
}

const databaseOf = (url: string) => new URL(url).pathname.slice(1)

/** Runs a statement that nobody else may be connected for. */
async function alone(adminUrl: string, name: string, statement: string): Promise<void> {
  await ask(adminUrl, `ALTER DATABASE "${name}" ALLOW_CONNECTIONS false`)
  await ask(adminUrl, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`)
  try {
    if (!(await becomesFree(adminUrl, name, 200))) throw new Error(`somebody stays connected to ${name}`)
    await ask(adminUrl, statement)
  } finally {
    const still = `SELECT datname FROM pg_database WHERE datname IN ('${name}', '${name.replace(/_backup$/, '')}')`
    for (const { datname } of await ask(adminUrl, still))
      await ask(adminUrl, `ALTER DATABASE "${datname}" ALLOW_CONNECTIONS true`)
  }
}

/**
 * Whether everybody leaves within so many looks. The end of a pool is told before its connections are closed: cut off then,
 * they would throw where nobody listens any more.
 */
async function becomesFree(adminUrl: string, name: string, looks: number): Promise<boolean> {
  const connected = `SELECT FROM pg_stat_activity WHERE datname = '${name}'`
  for (let look = 0; look < looks; look++) {
    if ((await ask(adminUrl, connected)).length === 0) return true
    await delay(25)
  }
  return false
}

/** One statement, or several, over a connection of its own. */
export async function ask<Row = Record<string, unknown>>(connectionString: string, statement: string): Promise<Row[]> {
  const client = new Client({ connectionString })
  await client.connect()
  try {
    return (await client.query(statement)).rows
  } finally {
    await client.end()
  }
}

/** The same server and role, another database. */
export function onDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.href
}
