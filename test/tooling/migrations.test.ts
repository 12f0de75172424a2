import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { beforeEach, expect, inject, onTestFinished, test } from 'vitest'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { MIGRATIONS_DIR, migrationNames, SCHEMA_PATH } from '../../src/migrations/directory.ts'
import { withMigrationEngine } from '../../src/migrations/engine.ts'
import { pendingMigrations } from '../../src/migrations/pending.ts'
import { createTestDatabase } from '../helpers/database.ts'

const OWN = await migrationNames(MIGRATIONS_DIR)
const NEXT = '29990101000000_next'

let db: Client
let url: string
let migrationsDir: string
let statements: string[]

beforeEach(async () => {
  const database = await createTestDatabase({ empty: true })
  url = database.ownerUrl
  db = new Client({ connectionString: url })
  await db.connect()
  statements = []
  migrationsDir = await mkdtemp(join(tmpdir(), 'latchkey-migrations-'))
  await cp(MIGRATIONS_DIR, migrationsDir, { recursive: true })
  onTestFinished(async () => {
    await db.end()
    await database.drop()
    await rm(migrationsDir, { recursive: true })
  })
})

const apply = () =>
  applyMigrations({ connectionString: url, schemaPath: SCHEMA_PATH, migrationsDir, log: () => undefined })

function state(dir = migrationsDir) {
  return pendingMigrations(
    (sql) => {
      statements.push(sql)
      return db.query(sql)
    },
    dir,
    [],
  )
}

async function addMigration(sql: string): Promise<void> {
  await mkdir(join(migrationsDir, NEXT), { recursive: true })
  await writeFile(join(migrationsDir, NEXT, 'migration.sql'), sql)
}

const count = async (sql: string) => (await db.query(sql)).rows.length

test('everything is pending in an empty database, nothing after migrating, and one statement tells', async () => {
  expect(await state()).toEqual({ pending: OWN, newer: [], incompatible: [], functions: [] })
  expect(await apply()).toEqual(OWN)
  expect(await state()).toEqual({ pending: [], newer: [], incompatible: [], functions: [] })
  expect(statements).toHaveLength(2)
})

test('migrating twice changes nothing the second time', async () => {
  await apply()
  expect(await apply()).toEqual([])
})

test('machines that migrate at the same time apply each migration once', async () => {
  const results = await Promise.all([apply(), apply(), apply()])
  expect(results.flat()).toEqual(OWN)
  expect(await count('SELECT FROM _prisma_migrations')).toBe(OWN.length)
})

test("the history is the one that Prisma's CLI writes and reads: names, checksums, one step each", async () => {
  await apply()
  const { rows } = await db.query('SELECT * FROM _prisma_migrations ORDER BY migration_name')
  const expected = OWN.map(async (name) => {
    const script = await readFile(join(MIGRATIONS_DIR, name, 'migration.sql'))
    const checksum = createHash('sha256').update(script).digest('hex')
    const times = { started_at: expect.any(Date), finished_at: expect.any(Date), rolled_back_at: null }
    return { id: expect.any(String), migration_name: name, checksum, ...times, logs: null, applied_steps_count: 1 }
  })
  expect(rows).toEqual(await Promise.all(expected))
})

test('a newer migration is reported, and as incompatible only if it says so', async () => {
  await addMigration('CREATE TABLE next (id int)')
  await apply()
  expect(await state(MIGRATIONS_DIR)).toEqual({ pending: [], newer: [NEXT], incompatible: [], functions: [] })
  await db.query('INSERT INTO schema_compatibility VALUES ($1, now())', [NEXT])
  expect(await state(MIGRATIONS_DIR)).toEqual({ pending: [], newer: [NEXT], incompatible: [NEXT], functions: [] })
})

test('a migration that fails leaves nothing behind, stays pending, and is begun again once it is mended', async () => {
  await addMigration('CREATE TABLE next (id int); SELECT 1 / 0;')
  await expect(apply()).rejects.toThrow(`Migration ${NEXT} failed; nothing of it was kept.`)
  expect(await count(`SELECT WHERE to_regclass('next') IS NOT NULL`)).toBe(0)
  expect((await state()).pending).toEqual([NEXT])
  await addMigration('CREATE TABLE next (id int)')
  expect(await apply()).toEqual([NEXT])
  expect((await state()).pending).toEqual([])
})

test('semicolons in strings, comments and function bodies do not cut a migration', async () => {
  await addMigration(`CREATE TABLE next (word text DEFAULT 'a;b'); -- here; too
    CREATE FUNCTION one() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;`)
  expect(await apply()).toContain(NEXT)
  expect((await db.query('SELECT one()')).rows).toEqual([{ one: 1 }])
})

test('waiting for another machine ends at the deadline', async () => {
  await db.query('BEGIN')
  await db.query('SELECT pg_advisory_xact_lock(4705331)')
  const options = {
    connectionString: url,
    schemaPath: SCHEMA_PATH,
    migrationsDir,
    log: () => undefined,
    deadlineMs: 300,
  }
  await expect(applyMigrations(options)).rejects.toThrow('not done within 0.3 s')
  await db.query('ROLLBACK')
  expect((await state()).pending).toEqual(OWN)
})

test('a column that the schema has and the migrations lack is found as the SQL that is missing', async () => {
  const { adminUrl } = inject('server')
  const schemaPath = join(migrationsDir, 'schema.prisma')
  const schema = await readFile(SCHEMA_PATH, 'utf8')
  const compare = () =>
    withMigrationEngine({ connectionString: adminUrl, schemaPath, migrationsDir }, (engine) => engine.diffToSchema())
  await writeFile(schemaPath, schema)
  expect(await compare()).toBe('')
  await writeFile(schemaPath, schema.replace('model Tenant {', 'model Tenant {\n  added Int?'))
  expect(await compare()).toContain('ALTER TABLE "tenants" ADD COLUMN     "added" INTEGER')
})
