import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { inject } from 'vitest'

/** The server of this test run, made in test/global-setup.ts. */
export interface TestServer {
  /** May create and drop databases. */
  adminUrl: string
  /** The role that the service connects as, and that owns every test database. */
  roleUrl: string
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
  url: string
  drop(): Promise<void>
}

export interface TestDatabaseOptions {
  /** `true` for one without tables, to migrate in the test. */
  empty?: boolean
}

/**
 * A database of its own for a test file: a clone of the migrated template, some 100 ms. Drop it in `afterAll`; what is
 * still connected is cut off. The run drops what is forgotten.
 */
export async function createTestDatabase({ empty = false }: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { adminUrl, roleUrl, template, run } = inject('server')
  const name = `latchkey_test_${run}_${randomBytes(6).toString('hex')}`
  const owner = decodeURIComponent(new URL(roleUrl).username)
  const source = empty ? 'template0' : template
  await asAdmin(adminUrl, `CREATE DATABASE "${name}" TEMPLATE "${source}" OWNER "${owner}"`)
  return {
    url: onDatabase(roleUrl, name),
    drop: () => asAdmin(adminUrl, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`),
  }
}

async function asAdmin(connectionString: string, statement: string): Promise<void> {
  const client = new Client({ connectionString })
  await client.connect()
  try {
    await client.query(statement)
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
