import pg from 'pg'
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import '../../src/app.ts' // what declares statements
import '../../src/migrate.ts'
import { DEFAULT_TENANT_ID } from '../../src/default-tenant.ts'
import { declaredStatements, FUNCTION_SCHEMA } from '../../src/lib/sql.ts'
import { buildTestApp } from '../helpers/app.ts'
import { createTestDatabase, type TestDatabase } from '../helpers/database.ts'
import { asFunction, bodyOf, planIn } from '../helpers/plans.ts'

// Postgres asks an index for a row of a table under policies only by conditions that it knows to tell nothing of the rows a policy hides

interface PlanNode {
  'Relation Name'?: string
  'Index Cond'?: string
  Plans?: PlanNode[]
}

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
  return database.drop
})

/** A session that asks indexes wherever it may, of empty tables too, which Postgres would otherwise just read, and knows no value. */
async function session(url: string, setting: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  onTestFinished(() => client.end())
  await client.connect()
  const ways = ['seqscan', 'bitmapscan', 'hashjoin', 'mergejoin', 'memoize', 'material']
  await client.query(ways.map((way) => `SET enable_${way} = off`).join(';'))
  await client.query(`SET plan_cache_mode = force_generic_plan; SET ${setting}`)
  return client
}

/** As `hosts by external_user_id, tenant_id`: every table that is asked by an index, and by which columns. */
function lookups(node: PlanNode): string[] {
  const { 'Relation Name': table, 'Index Cond': condition, Plans: children = [] } = node
  const columns = [...(condition ?? '').matchAll(/\((?:\w+\.)?(\w+) (?:=|[<>]=?) /g)].map(([, column]) => column)
  const own = table && columns.length > 0 ? [`${table} by ${[...new Set(columns)].sort().join(', ')}`] : []
  return [...own, ...children.flatMap(lookups)]
}

async function lookupsOf(client: pg.Client, body: string): Promise<string[]> {
  const places = new Set(body.match(/\$\d+/g)).size
  const values = places > 0 ? `(${Array.from({ length: places }, () => 'NULL').join(', ')})` : ''
  await client.query(`PREPARE asked AS ${body}`)
  const { rows } = await client.query(`EXPLAIN (FORMAT JSON) EXECUTE asked ${values}`)
  await client.query('DEALLOCATE asked')
  return lookups(rows[0]['QUERY PLAN'][0].Plan)
}

/** What a superuser, whom no policy binds, asks of indexes, and the other does not. */
async function lookupsLost(bound: pg.Client, free: pg.Client, body: string): Promise<string[]> {
  const left = await lookupsOf(bound, body)
  return (await lookupsOf(free, body)).filter((lookup) => {
    const at = left.indexOf(lookup)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

test('policies cost no statement its index', async () => {
  const acrossTenants = `app.across_tenants = 'on'`
  const bound = await session(database.ownerUrl, acrossTenants)
  const free = await session(database.adminUrl, acrossTenants)
  for (const { name, body } of declaredStatements()) expect.soft(await lookupsLost(bound, free, body), name).toEqual([])
  expect(declaredStatements().length).toBeGreaterThan(200)
})

test('nor to a query of the API', async () => {
  const asked = vi.spyOn(pg.Client.prototype, 'query')
  const t = await buildTestApp()
  const host = await t.connectHost('user-1', 'host@example.com')
  const pass = await t.createPass({
    meeting: '85996249517',
    host: { host_id: host.id },
    on_behalf_of: { host_id: host.id },
  })
  await t.api('PUT', '/v1/meetings/85996249518', { body: { external_user_id: 'user-1' } })
  await t.api('PATCH', `/v1/passes/${pass.id}`, { body: { metadata: { a: 'b' } } })
  const filters = [
    'email=a@b.example',
    'status=connected',
    'external_user_id=user-1',
    `zoom_user_id=${host.zoom_user_id}`,
  ]
  const walk = `
    hosts hosts?sort=next_pass ${filters.map((filter) => `hosts?${filter}`).join(' ')}
    meetings meetings?host_id=${host.id} meetings/85996249517 meetings/85996249517/explain
    passes passes?meeting_id=85996249517 passes/${pass.id} passes/${pass.id}/explain
    mints mints?host_id=${host.id} mints?pass_id=${pass.id} mints?meeting_id=85996249517
    organizations audit webhook-endpoints`
  for (const path of walk.trim().split(/\s+/))
    expect.soft((await t.api('GET', `/v1/${path}`)).statusCode, path).toBe(200)
  const texts = asked.mock.calls.map(
    ([query]) => (typeof query === 'string' ? query : (query as { text?: string })?.text) ?? '',
  )
  asked.mockRestore()

  const ofTenant = `app.tenant_id = '${DEFAULT_TENANT_ID}'`
  const bound = await session(t.database.appUrl, ofTenant)
  const free = await session(t.database.adminUrl, ofTenant)
  const queries = new Set(
    texts.filter((text) => /^\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b/.test(text) && !text.includes(FUNCTION_SCHEMA)),
  )
  for (const text of queries) expect.soft(await lookupsLost(bound, free, text), text).toEqual([])
  expect(queries.size).toBeGreaterThan(20)
})

const HOSTS = 5000
const MANY_HOSTS = `
  INSERT INTO tenants (id, slug, name, return_url_origins) VALUES (md5('tenant')::uuid, 'tenant', 'x', '{}');
  INSERT INTO zoom_apps (id, tenant_id, kind, client_id, managed_by)
  VALUES (md5('app')::uuid, md5('tenant')::uuid, 'user', 'client', 'api');
  INSERT INTO grants (id, zoom_app_id, zoom_user_id)
  SELECT md5('grant' || n)::uuid, md5('app')::uuid, 'user-' || n FROM generate_series(1, ${HOSTS}) n;
  INSERT INTO grant_tokens (grant_id, status, gen) SELECT md5('grant' || n)::uuid, 'connected', 1 FROM generate_series(1, ${HOSTS}) n;
  INSERT INTO hosts (id, tenant_id, external_user_id, grant_id, consent_epoch)
  SELECT md5('host' || n)::uuid, md5('tenant')::uuid, 'user-' || n, md5('grant' || n)::uuid, 0 FROM generate_series(1, ${HOSTS}) n;
  INSERT INTO meetings (id, tenant_id, meeting_id, external_user_id, source)
  SELECT md5('meeting' || n)::uuid, md5('tenant')::uuid, 100000000 + n, 'user-' || n, 'api' FROM generate_series(1, ${HOSTS}) n;
  INSERT INTO passes (id, tenant_id, secret_hash, meeting_id, kinds, on_behalf_of, expires_at)
  SELECT md5('pass' || n)::uuid, md5('tenant')::uuid, decode(md5('pass' || n), 'hex'), 100000000 + n, '{join,obf}', '{}', now() + interval '1 day'
    FROM generate_series(1, ${HOSTS}) n;
  ANALYZE`

describe(`beside ${HOSTS} hosts of one tenant`, () => {
  beforeAll(() => asFunction(database, (owner) => owner.query(MANY_HOSTS)).then(() => undefined))
  test.each([1, 4, 16])('a batch of %i mints reads its hosts and no other', async (size) => {
    await asFunction(database, async (owner) => {
      await owner.query(`PREPARE opens AS ${bodyOf(`mint_open_${size}`)}; SET plan_cache_mode = force_generic_plan`)
      const values = Array.from(
        { length: size },
        (_, n) => `md5('pass${n + 1}')::uuid, 'join', 'msg-${size}-${n}', NULL, gen_random_uuid(), 'request'`,
      )
      const plan = planIn(
        await owner.query(`EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE opens (${values.join(', ')})`),
      )
      expect(plan).not.toMatch(/Seq Scan on (hosts|grants|grant_tokens|meetings|passes)/)
      for (const [, read] of plan.matchAll(
        /Scan.* on (?:hosts|grants|grant_tokens|meetings|passes)\b.*actual rows=([0-9.]+)/g,
      ))
        expect(Number(read)).toBeLessThanOrEqual(size)
      expect(plan).toMatch(/on hosts\b.*actual rows=1/)
    })
  })
})
