import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { TENANT_TABLES } from '../../src/erasure/tables.ts'
import { declaredStatements } from '../../src/lib/sql.ts'
import { rows } from '../helpers/connect.ts'
import { unique } from '../helpers/management.ts'
import { newVaultHost, type VaultHost, vaultApp } from '../helpers/vault.ts'

const t = await vaultApp()
let host: VaultHost
let stranger: { tenantId: string; hostId: string }

/** A session as `psql` would open it, in one of the service's roles. */
async function session(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
  return client
}
/** Rows, or why not. */
const asked = (client: pg.Client, text: string, values: unknown[] = []) =>
  client.query(text, values).then(
    (result) => result.rows as Record<string, unknown>[],
    (error: { code?: string }) => error.code,
  )
const FORBIDDEN = '42501'

beforeAll(async () => {
  host = await newVaultHost(t)
  await t.bot(host.joinUrl)
  const tenant = await t.api('POST', '/v1/tenants', { body: { slug: unique(), name: 'Stranger' } })
  const headers = { 'latchkey-tenant': tenant.json().id }
  const app = { client_id: unique(), client_secrets: ['s'.repeat(20)], kind: 'user' }
  await t.api('POST', '/v1/webhook-endpoints', { body: { url: 'https://receiver.example/x' }, headers })
  await t.api('POST', '/v1/webhook-endpoints', { body: { url: 'https://receiver.example/x' } })
  await t.api('POST', `/v1/tenants/${tenant.json().id}/zoom-apps`, { body: app })
  const connected = await t.connectHost(unique(), host.email, headers)
  stranger = { tenantId: tenant.json().id, hostId: connected.id }
  await t.createPass({ meeting: '999888777', host: { host_id: connected.id } }, headers)
})

const tablesOf = async (condition: string) =>
  (
    await rows<{ name: string }>(
      t,
      `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('public', 'pgboss') AND c.relkind IN ('r', 'p', 'v') AND ${condition} ORDER BY 1`,
    )
  ).map(({ name }) => name)

const HAS_TENANT = `EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)`

describe('a session in a role of the service that set no tenant', () => {
  test('reads no tenant’s row in the main role, though it may ask', async () => {
    const client = await session(t.database.appUrl)
    const tables = [...(await tablesOf(HAS_TENANT)), 'tenants', 'grants', 'idempotency_keys', 'grant_syncs']
    for (const table of tables) {
      const found = await asked(
        client,
        `SELECT * FROM ${table} ${table === 'zoom_apps' ? 'WHERE tenant_id IS NOT NULL' : ''}`,
      )
      expect.soft([table, found], table).toEqual([table, typeof found === 'string' ? FORBIDDEN : []])
    }
    expect(await asked(client, 'SELECT id FROM hosts')).toEqual([]) // and not because it may not look at all
    expect((await rows(t, 'SELECT id FROM hosts')).length).toBeGreaterThan(1)
  })
  test('writes none either', async () => {
    const client = await session(t.database.appUrl)
    expect(await asked(client, `UPDATE hosts SET external_user_id = 'mine' RETURNING id`)).toEqual([])
    expect(await asked(client, 'DELETE FROM passes RETURNING id')).toEqual([])
    const insert = `INSERT INTO api_keys (id, tenant_id, name, secret_hash, scopes) VALUES (gen_random_uuid(), $1, 'x', '', '{}')`
    expect(await asked(client, insert, [stranger.tenantId])).toBe(FORBIDDEN)
  })
  test('reads no table at all in the minting role, the job queue’s neither', async () => {
    const client = await session(t.database.mintUrl)
    const tables = await tablesOf('true')
    expect(tables.length).toBeGreaterThan(30)
    for (const table of tables)
      expect.soft([table, await asked(client, `SELECT 1 FROM ${table}`)]).toEqual([table, FORBIDDEN])
  })
  test('reads nothing as the owner: the policies are forced', async () => {
    const client = await session(t.database.ownerUrl)
    for (const table of [...TENANT_TABLES.filter((name) => name !== 'zoom_apps'), 'audit_events', 'tenants'])
      expect.soft([table, await asked(client, `SELECT * FROM ${table}`)]).toEqual([table, []])
  })
})

describe('a session that set a tenant', () => {
  async function ofTenant(tenantId: string) {
    const client = await session(t.database.appUrl)
    await client.query(`SELECT set_config('app.tenant_id', $1, false)`, [tenantId])
    return client
  }
  test('reads that tenant’s rows and no other’s, of what tenants share only what it links', async () => {
    const client = await ofTenant(stranger.tenantId)
    expect(await asked(client, 'SELECT id FROM hosts')).toEqual([{ id: stranger.hostId }])
    expect(await asked(client, 'SELECT id FROM host_states')).toEqual([{ id: stranger.hostId }])
    expect(await asked(client, 'SELECT id FROM tenants')).toEqual([{ id: stranger.tenantId }])
    const [linked] = await rows(t, 'SELECT grant_id FROM hosts WHERE id = $1', [stranger.hostId])
    expect(await asked(client, 'SELECT id AS grant_id FROM grants')).toEqual([linked])
  })
  test('cannot write a row of another tenant, nor hand it one of its own', async () => {
    const client = await ofTenant(stranger.tenantId)
    expect(
      await asked(client, `UPDATE hosts SET external_user_id = 'x' WHERE id = $1 RETURNING id`, [host.hostId]),
    ).toEqual([])
    const other = (await rows<{ tenant_id: string }>(t, 'SELECT tenant_id FROM hosts WHERE id = $1', [host.hostId]))[0]
    const give = 'UPDATE passes SET tenant_id = $1 RETURNING id'
    expect(await asked(client, give, [other?.tenant_id])).toBe(FORBIDDEN)
    expect(await asked(client, `UPDATE zoom_apps SET client_id = 'x' WHERE tenant_id IS NULL RETURNING id`)).toEqual([])
  })
  test('is not let further by the setting that opens all tenants: that is the owner’s', async () => {
    const client = await ofTenant(stranger.tenantId)
    await client.query(`SELECT set_config('app.across_tenants', 'on', false)`)
    expect(await asked(client, 'SELECT id FROM hosts')).toEqual([{ id: stranger.hostId }])
  })
  test('finds no token in clear in all that it can read, and no ciphertext of one', async () => {
    const client = await ofTenant(stranger.tenantId)
    expect(await asked(client, 'SELECT refresh_ct FROM grant_tokens')).toBe(FORBIDDEN)
    expect(await asked(client, 'SELECT wrapped FROM data_keys')).toBe(FORBIDDEN)
    let seen = ''
    for (const table of await tablesOf('true')) {
      const found = await asked(client, `SELECT row_to_json(x)::text AS row FROM ${table} x`)
      if (Array.isArray(found)) seen += found.map(({ row }) => row).join('\n')
    }
    expect(seen).toContain(stranger.hostId)
    expect(t.zoom.issued.length).toBeGreaterThan(2)
    for (const { value } of t.zoom.issued) expect(seen.includes(value)).toBe(false)
  })
  test('leaves nothing set for whoever has the connection next', async () => {
    const listed = await t.api('GET', '/v1/hosts', { headers: { 'latchkey-tenant': stranger.tenantId } })
    expect(listed.json().data).toHaveLength(1)
    const connections = t.app.pools.main.totalCount
    expect(connections).toBeGreaterThan(0)
    const clients = await Promise.all(Array.from({ length: connections }, () => t.app.pools.main.connect()))
    const left = await Promise.all(clients.map((client) => client.query('SELECT id FROM hosts')))
    for (const client of clients) client.release()
    expect(left.flatMap((result) => result.rows)).toEqual([])
  })
})

describe('the minting role', () => {
  test('may call the statements of the minting path and no other function of ours', async () => {
    const [found] = await rows<{ names: string[] }>(
      t,
      `SELECT array_agg(p.proname::text ORDER BY 1) AS names FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'latchkey_statements' AND has_function_privilege('latchkey_test_mint', p.oid, 'EXECUTE')`,
    )
    const minting = declaredStatements().filter(({ mints }) => mints)
    expect(found?.names.toSorted()).toEqual(minting.map(({ name }) => name).toSorted())
    expect(minting.length).toBeLessThan(declaredStatements().length / 4)
  })
  test('is refused a function of the jobs', async () => {
    const client = await session(t.database.mintUrl)
    const purge = declaredStatements().find(({ name }) => name.startsWith('passes_purge'))
    expect(await asked(client, `SELECT * FROM latchkey_statements.${purge?.name}($1)`, [1])).toBe(FORBIDDEN)
  })
  test('cannot make its own function see more: it may create nothing', async () => {
    const client = await session(t.database.mintUrl)
    const body = `RETURNS SETOF hosts LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM public.hosts'`
    for (const schema of ['latchkey_statements', 'public'])
      expect(await asked(client, `CREATE FUNCTION ${schema}.f() ${body}`)).toBe(FORBIDDEN)
  })
})

describe('the catalogue says', () => {
  test('every table of tenants forces row-level security, by a policy of its own', async () => {
    const all = await tablesOf(`c.relkind IN ('r', 'p') AND ${HAS_TENANT}`)
    expect(all.filter((name) => name !== 'audit_events')).toEqual(TENANT_TABLES.toSorted()) // what erasure looks through
    const guarded = await tablesOf(
      `c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (
         SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND pg_get_expr(p.polqual, p.polrelid) LIKE '%app.tenant_id%')`,
    )
    expect(guarded).toEqual([...all, 'idempotency_keys', 'tenants'].toSorted())
  })
  test('of what tenants share the main role reads only tables that are guarded too', async () => {
    const readable = await tablesOf(
      `c.relkind IN ('r', 'p') AND n.nspname = 'public' AND NOT c.relrowsecurity AND has_any_column_privilege('latchkey_test_app', c.oid, 'SELECT')`,
    )
    expect(readable).toEqual(['_prisma_migrations', 'schema_compatibility'])
  })
  test('no view reads with its owner’s eyes', async () => {
    expect(
      await tablesOf(
        `n.nspname = 'public' AND c.relkind = 'v' AND NOT ('security_invoker=true' = ANY (COALESCE(c.reloptions, '{}')))`,
      ),
    ).toEqual([])
  })
  test('every function that runs with its owner’s rights says where it looks for names, and is nobody’s by default', async () => {
    const loose = await rows(
      t,
      `SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('latchkey_statements', 'public') AND p.prosecdef
          AND (NOT COALESCE('search_path=public, pg_temp' = ANY (p.proconfig), false)
               OR has_function_privilege('public', p.oid, 'EXECUTE'))`,
    )
    expect(loose).toEqual([])
  })
})

test('a value of 64 random bytes goes through a function as it came', async () => {
  const bytes = randomBytes(64)
  const client = await session(t.database.appUrl)
  const resolve = declaredStatements().find(({ name }) => name.startsWith('pass_resolve'))
  expect(await asked(client, `SELECT * FROM latchkey_statements.${resolve?.name}($1)`, [bytes])).toEqual([])
})
