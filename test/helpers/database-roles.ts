import { randomBytes } from 'node:crypto'
import { inject, onTestFinished } from 'vitest'
import { buildApp } from '../../src/app.ts'
import { migrateDatabase } from '../../src/migrate.ts'
import { ask, onDatabase } from './database.ts'

const { adminUrl } = inject('server')
const ENCRYPTION_KEYS = `k1:${randomBytes(32).toString('base64')}`

/** A name of its own, with a password that a URL has to escape; gone after the test. */
export function roleOf(database: string, kind: string) {
  const name = `latchkey_test_${kind}_${randomBytes(4).toString('hex')}`
  const password = `p@ss/${randomBytes(8).toString('hex')}`
  const url = new URL(onDatabase(adminUrl, database))
  url.username = name
  url.password = encodeURIComponent(password)
  onTestFinished(async () => {
    await ask(adminUrl, `DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`) // first: what a role owns there holds it
    await ask(adminUrl, `DROP ROLE IF EXISTS "${name}"`)
  })
  return { name, password, url: url.href }
}

/** An empty database that a role of its own has, and two roles that nobody has made yet. */
export async function newServer(attributes: string) {
  const database = `latchkey_test_${inject('server').run}_${randomBytes(6).toString('hex')}`
  const [owner, main, mint] = [roleOf(database, 'owner'), roleOf(database, 'main'), roleOf(database, 'mint')]
  await ask(adminUrl, `CREATE ROLE "${owner.name}" LOGIN ${attributes} PASSWORD '${owner.password}'`)
  await ask(adminUrl, `CREATE DATABASE "${database}" OWNER "${owner.name}"`)
  const urls = { DATABASE_MIGRATION_URL: owner.url, DATABASE_URL: main.url, DATABASE_MINT_URL: mint.url }
  const migrate = (changed: Partial<typeof urls> = {}) => migrateDatabase({ ...urls, ...changed }, () => undefined)
  return { database, adminUrl: onDatabase(adminUrl, database), urls, owner, main, mint, migrate }
}

/** A start in production by these URLs; gives what it logged. */
export async function startBy(urls: Record<string, string>, env: Record<string, string> = {}): Promise<string> {
  const lines: string[] = []
  const logStream = { write: (line: string) => lines.push(line) } as never
  const { app, prepare } = await buildApp({
    env: {
      NODE_ENV: 'production',
      PUBLIC_BASE_URL: 'https://bots.example.com',
      INSTALLATION_ID: 'roles',
      ENCRYPTION_KEYS,
      OPERATOR_API_KEY: 'o'.repeat(40),
      METRICS_PORT: '0',
      ...urls,
      ...env,
    },
    logStream,
  })
  try {
    await prepare()
  } finally {
    await app.close()
  }
  return lines.join('')
}
