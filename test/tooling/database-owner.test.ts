import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { MIGRATIONS_DIR, SCHEMA_PATH } from '../../src/migrations/directory.ts'
import { ask } from '../helpers/database.ts'
import { newServer, roleOf, startBy } from '../helpers/database-roles.ts'

const FIRST_WITH_POLICIES = '20261124193100'

type Server = Awaited<ReturnType<typeof newServer>>

/** What a restore under another owner, or an administrator, makes of it: the policies still name the former one, or nobody. */
async function giveAway({ adminUrl, database, owner }: Server) {
  const other = roleOf(database, 'other')
  await ask(adminUrl, `CREATE ROLE "${other.name}" LOGIN CREATEROLE PASSWORD '${other.password}'`)
  await ask(adminUrl, `REASSIGN OWNED BY "${owner.name}" TO "${other.name}"`)
  return other
}
/** The tables alone, of the migrations that the test lets through. */
async function applyTables({ owner }: Server, isWanted: (name: string) => boolean): Promise<void> {
  const migrationsDir = await mkdtemp(join(tmpdir(), 'latchkey-migrations-'))
  onTestFinished(() => rm(migrationsDir, { recursive: true }))
  await cp(MIGRATIONS_DIR, migrationsDir, {
    recursive: true,
    filter: (source) => source === MIGRATIONS_DIR || !/^\d{14}_/.test(basename(source)) || isWanted(basename(source)),
  })
  await applyMigrations({ connectionString: owner.url, schemaPath: SCHEMA_PATH, migrationsDir, log: () => undefined })
}
const functionLike = async (url: string, label: string) => {
  const found = await ask<{ name: string }>(url, `SELECT proname AS name FROM pg_proc WHERE proname LIKE '${label}_%'`)
  return `latchkey_statements.${found[0]?.name}`
}
const KEY = `INSERT INTO data_keys (id, owner_id, kid, wrapped) SELECT gen_random_uuid(), id, 'k1', '' FROM tenants`

describe('a database that another role owns now', () => {
  test('is not served until it is migrated by that role, and nothing is taken for deleted meanwhile', async () => {
    const server = await newServer('CREATEROLE')
    await server.migrate()
    await ask(server.adminUrl, KEY)
    const other = await giveAway(server)

    await expect(startBy(server.urls)).rejects.toThrow('Row-level security hides every tenant')
    const sweep = await functionLike(server.adminUrl, 'erasure_sweep_keys')
    expect(await ask(server.main.url, `SELECT * FROM ${sweep}()`)).toEqual([])
    expect(await ask(server.adminUrl, 'SELECT id FROM data_keys')).toHaveLength(1)

    await server.migrate({ DATABASE_MIGRATION_URL: other.url })
    await startBy(server.urls)
    const visible = await functionLike(server.adminUrl, 'tenant_by_slug')
    expect(await ask(server.main.url, `SELECT slug FROM ${visible}('default')`)).toEqual([{ slug: 'default' }])
  })
  test('is not migrated by anybody else: who owns it is told', async () => {
    const server = await newServer('CREATEROLE')
    await server.migrate()
    const other = await giveAway(server)
    await expect(server.migrate()).rejects.toThrow(`belong to ${other.name}, and DATABASE_MIGRATION_URL connects as`)
  })
  test('has its policies again although they were dropped with the former owner', async () => {
    const server = await newServer('CREATEROLE')
    await server.migrate()
    const other = await giveAway(server)
    await ask(server.adminUrl, `DROP OWNED BY "${server.owner.name}"`)
    await server.migrate({ DATABASE_MIGRATION_URL: other.url })
    await startBy(server.urls)
  })
})

describe('a role of the service', () => {
  test('can make nothing of its own, temporary tables and triggers included, on a server as it comes', async () => {
    const { main, mint, migrate } = await newServer('CREATEROLE')
    await migrate()
    for (const { url } of [main, mint])
      for (const text of [
        'CREATE TEMP TABLE z (id uuid)',
        'CREATE TABLE z (id uuid)',
        `CREATE TYPE pg_temp.evil AS ENUM ('a')`,
        'CREATE SCHEMA mine',
        'SELECT tell_host_states(gen_random_uuid(), NULL)',
      ])
        await expect(ask(url, text), text).rejects.toMatchObject({
          code: expect.stringMatching(/^(42501|42883|3F000)$/),
        })
  })
  test('that may not call the functions of the minting path does not start, and its variable is named', async () => {
    const server = await newServer('CREATEROLE')
    await server.migrate()
    const stranger = roleOf(server.database, 'stranger')
    await ask(server.adminUrl, `CREATE ROLE "${stranger.name}" LOGIN PASSWORD '${stranger.password}'`)
    await expect(startBy({ ...server.urls, DATABASE_MINT_URL: stranger.url })).rejects.toThrow(
      `DATABASE_MINT_URL connects as ${stranger.name}, which may not call`,
    )
    await expect(startBy({ ...server.urls, DATABASE_URL: stranger.url })).rejects.toThrow(/Run npm run db:migrate/)
  })
  test('that is a member of the owner is told from one of its own', async () => {
    const server = await newServer('CREATEROLE')
    await server.migrate()
    const member = roleOf(server.database, 'member')
    const inOwner = `LOGIN PASSWORD '${member.password}' IN ROLE "${server.owner.name}"`
    await ask(server.adminUrl, `CREATE ROLE "${member.name}" ${inOwner}`)
    expect(await startBy({ ...server.urls, DATABASE_URL: member.url })).toContain('give it a role of its own')
  })
})

describe('an upgrade', () => {
  const isFormer = (name: string) => name < FIRST_WITH_POLICIES

  test('refuses the replicas of a version whose queries name no tenant, rather than show them nothing', async () => {
    const server = await newServer('CREATEROLE')
    await applyTables(server, isFormer)
    await ask(server.adminUrl, `CREATE ROLE "${server.main.name}" LOGIN PASSWORD '${server.main.password}'`)
    await ask(server.owner.url, `GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA public TO "${server.main.name}"`)
    await ask(server.main.url, 'SELECT FROM data_keys')
    await applyTables(server, () => true) // and no further: the process died
    for (const text of ['DELETE FROM data_keys', 'SELECT FROM tenants', 'SELECT FROM host_states'])
      await expect(ask(server.main.url, text), text).rejects.toMatchObject({ code: '42501' })
  })
  test('that died between the tables and the rights is finished by a start with MIGRATE_ON_START', async () => {
    const server = await newServer('CREATEROLE')
    await ask(server.adminUrl, `CREATE ROLE "${server.main.name}" LOGIN PASSWORD '${server.main.password}'`)
    await ask(server.adminUrl, `CREATE ROLE "${server.mint.name}" LOGIN PASSWORD '${server.mint.password}'`)
    await applyTables(server, () => true)
    await expect(startBy(server.urls)).rejects.toThrow(/Run npm run db:migrate/)
    await startBy(server.urls, { MIGRATE_ON_START: 'true' })
  })
  test('is not held up by a table of somebody else’s in the same schema', async () => {
    const server = await newServer('CREATEROLE')
    await server.migrate()
    await ask(
      server.adminUrl,
      'CREATE TABLE public.hosts_backup AS SELECT 1 AS id; CREATE SEQUENCE public.their_numbers',
    )
    await server.migrate()
  })
  test('that gives a column another type makes the functions anew that return it', async () => {
    const server = await newServer('CREATEROLE')
    await server.migrate()
    await ask(server.owner.url, 'ALTER TABLE tenants ALTER COLUMN name TYPE varchar(300)')
    await server.migrate()
    const bySlug = await functionLike(server.adminUrl, 'tenant_by_slug')
    expect(await ask(server.main.url, `SELECT name FROM ${bySlug}('default')`)).toEqual([{ name: 'Default' }])
  })
})
