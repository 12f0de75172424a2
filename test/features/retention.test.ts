import { afterAll, expect, test } from 'vitest'
import { AGED, KEPT } from '../../src/retention.ts'
import { startTestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { newTenantWithKey, unique } from '../helpers/management.ts'

const t = await startTestApp()
afterAll(() => t.stop())
const running = new AbortController().signal
const DAY_MS = 24 * 3600 * 1000

test('the retention of every table is written down, and of none that is not there', async () => {
  const query = `SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p')
                    AND relnamespace = 'public'::regnamespace AND relname <> '_prisma_migrations' ORDER BY relname`
  const tables = (await rows<{ name: string }>(t, query)).map(({ name }) => name)
  expect([...Object.keys(AGED), ...Object.keys(KEPT)].sort()).toEqual(tables)
})

/** A row made so many days ago, by its id, which is where its age is read. */
const idOf = (daysAgo: number) => {
  const hex = (Date.now() - daysAgo * DAY_MS).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7abc-8def-${unique()}`
}

test('lines of the ledger go after 400 days, more of them than one statement takes, and none before', async () => {
  const { id: tenantId } = await newTenantWithKey(t)
  const insert = (id: string) =>
    rows(t, `INSERT INTO mints (id, tenant_id, kind, request_id) VALUES ($1, $2, 'join', 'r')`, [id, tenantId])
  for (const days of [401, 500, 399, 0]) await insert(idOf(days))
  await rows(
    t,
    `INSERT INTO mints (id, tenant_id, kind, request_id)
     SELECT overlay($1::uuid::text PLACING lpad(n::text, 12, '0') FROM 25)::uuid, $2, 'join', 'r' FROM generate_series(1, 4100) n`,
    [idOf(450), tenantId],
  )
  await t.services.ledger.purgeAcrossTenants(running)
  expect(await rows(t, 'SELECT count(*)::int AS n FROM mints WHERE tenant_id = $1', [tenantId])).toEqual([{ n: 2 }])
})

test('a pass goes 90 days after its end, however old it is before', async () => {
  const { id: tenantId } = await newTenantWithKey(t)
  const insert = (made: number, ended: number) =>
    rows(
      t,
      `INSERT INTO passes (id, tenant_id, secret_hash, meeting_id, kinds, on_behalf_of, expires_at)
       VALUES ($1, $2, decode(md5($1::uuid::text), 'hex'), '123456789', '{join}', '{}', now() - $3 * interval '1 day')`,
      [idOf(made), tenantId, ended],
    )
  await insert(130, 91)
  await insert(130, 89)
  await insert(300, -100)
  await t.services.passes.purgeAcrossTenants(running)
  const left = `SELECT round(EXTRACT(EPOCH FROM now() - expires_at) / 86400)::int AS ended FROM passes WHERE tenant_id = $1 ORDER BY 1`
  expect(await rows(t, left, [tenantId])).toEqual([{ ended: -100 }, { ended: 89 }])
})
