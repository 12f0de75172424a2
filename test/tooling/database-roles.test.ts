import { describe, expect, onTestFinished, test } from 'vitest'
import { ask, createTestDatabase } from '../helpers/database.ts'
import { newServer, startBy } from '../helpers/database-roles.ts'

describe('migrating', () => {
  test('makes the roles that the URLs name, with their passwords, and gives them what they need to serve', async () => {
    const { urls, main, mint, migrate } = await newServer('CREATEROLE')
    await migrate()
    expect(await ask(main.url, 'SELECT current_user AS role')).toEqual([{ role: main.name }])
    expect(await ask(mint.url, 'SHOW statement_timeout')).toEqual([{ statement_timeout: '5s' }])
    expect(await startBy(urls)).not.toContain('give it a role of its own')
  })
  test('says what an administrator is to do where it may make no role', async () => {
    const { main, migrate } = await newServer('')
    await expect(migrate()).rejects.toThrow(`DATABASE_URL: the server knows no role ${main.name}`)
  })
  test('may be repeated, and then changes nothing for those who are connected', async () => {
    const { main, migrate } = await newServer('CREATEROLE')
    await migrate()
    await migrate()
    expect(await ask(main.url, 'SELECT count(*)::int AS tenants FROM tenants')).toEqual([{ tenants: 0 }])
  })
  test('takes the functions of the API from a role that becomes the minting one', async () => {
    const { main, mint, migrate } = await newServer('CREATEROLE')
    await migrate()
    await migrate({ DATABASE_URL: mint.url, DATABASE_MINT_URL: main.url })
    const [purge] = await ask<{ name: string }>(
      main.url,
      `SELECT proname AS name FROM pg_proc WHERE proname LIKE 'passes_purge_%'`,
    )
    const call = `SELECT * FROM latchkey_statements.${purge?.name}(1)`
    await expect(ask(main.url, call)).rejects.toMatchObject({ code: '42501' })
    expect(await ask(mint.url, call)).toEqual([])
  })
  test('takes from a role what a former version gave it', async () => {
    const { owner, mint, migrate } = await newServer('CREATEROLE')
    await migrate()
    await ask(owner.url, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO "${mint.name}"`)
    await migrate()
    await expect(ask(mint.url, 'SELECT FROM schema_compatibility')).rejects.toMatchObject({ code: '42501' })
  })
})

describe('a start', () => {
  test('in production is refused to a superuser, by the name of the variable', async () => {
    const database = await createTestDatabase()
    onTestFinished(() => database.drop())
    await expect(startBy({ DATABASE_URL: database.adminUrl })).rejects.toThrow(
      /DATABASE_URL connects as \w+, a superuser/,
    )
    const mixed = { DATABASE_URL: database.appUrl, DATABASE_MINT_URL: database.adminUrl }
    await expect(startBy(mixed)).rejects.toThrow(/DATABASE_MINT_URL connects as/)
  })
  test('in production is refused to a role that row-level security does not bind', async () => {
    const server = await newServer('CREATEROLE')
    const { urls, main, migrate } = server
    await migrate()
    await ask(server.adminUrl, `ALTER ROLE "${main.name}" BYPASSRLS`)
    await expect(startBy(urls)).rejects.toThrow(/a role with BYPASSRLS/)
  })
  test('outside production says so and goes on', async () => {
    const database = await createTestDatabase()
    onTestFinished(() => database.drop())
    const log = await startBy(
      { DATABASE_URL: database.adminUrl },
      { NODE_ENV: 'test', PUBLIC_BASE_URL: 'http://localhost:4000' },
    )
    expect(log).toContain('the database role passes row-level security')
  })
  test('with the owner’s URL alone serves, and warns in production', async () => {
    const { owner, migrate } = await newServer('')
    await migrate({ DATABASE_URL: owner.url, DATABASE_MINT_URL: owner.url })
    expect(await startBy({ DATABASE_URL: owner.url })).toContain('give it a role of its own')
  })
  test('is refused while the database lacks a function of this version, and says what to run', async () => {
    const { urls, owner, migrate } = await newServer('CREATEROLE')
    await migrate()
    const [found] = await ask<{ name: string }>(
      owner.url,
      `SELECT proname AS name FROM pg_proc WHERE proname LIKE 'pass_resolve_%'`,
    )
    await ask(owner.url, `DROP FUNCTION latchkey_statements.${found?.name}`)
    await expect(startBy(urls)).rejects.toThrow(`may not call them, such as ${found?.name}. Run npm run db:migrate`)
    await migrate()
    await startBy(urls)
  })
})

describe('a function that no version calls any more', () => {
  const made = `CREATE FUNCTION latchkey_statements.of_a_former_version() RETURNS int LANGUAGE sql AS 'SELECT 1'`
  const here = `SELECT FROM pg_proc WHERE proname = 'of_a_former_version'`

  test('stays callable in its role while the replicas of its version are replaced', async () => {
    const { owner, main, mint, migrate } = await newServer('CREATEROLE')
    await migrate()
    await ask(owner.url, made)
    await ask(owner.url, `REVOKE ALL ON FUNCTION latchkey_statements.of_a_former_version() FROM PUBLIC`)
    for (const { name } of [main, mint])
      await ask(owner.url, `GRANT EXECUTE ON FUNCTION latchkey_statements.of_a_former_version() TO "${name}"`)
    await migrate()
    for (const { url } of [main, mint])
      expect(await ask(url, 'SELECT * FROM latchkey_statements.of_a_former_version() AS n')).toEqual([{ n: 1 }])
  })
  test('stays for a month, for a rollback, and goes then', async () => {
    const { owner, migrate } = await newServer('CREATEROLE')
    await migrate()
    await ask(owner.url, made)
    await migrate()
    await migrate()
    expect(await ask(owner.url, here)).toHaveLength(1)
    const longAgo = new Date(Date.now() - 31 * 86_400_000).toISOString()
    await ask(owner.url, `COMMENT ON FUNCTION latchkey_statements.of_a_former_version() IS '${longAgo}'`)
    await migrate()
    expect(await ask(owner.url, here)).toHaveLength(0)
  })
})
