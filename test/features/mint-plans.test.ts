import { expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '../../src/default-tenant.ts'
import { COLUMNS } from '../../src/features/mints/open-statements.ts'
import { uuidv7 } from '../../src/lib/ids.ts'
import { buildTestApp } from '../helpers/app.ts'
import { unique } from '../helpers/management.ts'
import { asFunction, bodyOf } from '../helpers/plans.ts'

// Postgres tries five plans of their own before it may keep one for all
const TRIED = 5

/** Over the same plan cache as in its function. */
async function plansOf(size: number) {
  const t = await buildTestApp()
  await t.connectHost('user-1', 'host@example.com')
  const passes = await Promise.all(
    Array.from({ length: size }, () => t.createPass({ meeting: '85996249517', host: { external_user_id: 'user-1' } })),
  )
  const text = bodyOf(`mint_open_${size}`)
  return await asFunction(t.database, async (owner) => {
    for (let turn = 0; turn < 12; turn++) {
      const values = passes.flatMap(({ id }) => [id, 'join', unique(), null, uuidv7(), unique()])
      expect(values).toHaveLength(size * COLUMNS.length)
      expect((await owner.query({ name: 'opens', text, values })).rows).toHaveLength(size)
    }
    const read = `SELECT custom_plans::int AS custom, generic_plans::int AS generic FROM pg_prepared_statements WHERE name = 'opens'`
    return (await owner.query<{ custom: number; generic: number }>(read)).rows[0]
  })
}

test.each([1, 4, 16])('the statement that opens %i mints is planned once for good, not at every mint', async (size) => {
  expect(await plansOf(size)).toEqual({ custom: TRIED, generic: 12 - TRIED })
})

test('the outcomes of mints are written beside their rows, and not into every index once more', async () => {
  const t = await buildTestApp()
  await asFunction(t.database, async (owner) => {
    await owner.query(
      `INSERT INTO mints (id, tenant_id, kind, meeting_id, request_id)
       SELECT gen_random_uuid(), $1, 'join', '85996249517', gen_random_uuid() FROM generate_series(1, 1000)`,
      [DEFAULT_TENANT_ID],
    )
    await owner.query(`UPDATE mints SET outcome = 'minted', duration_ms = 12`)
    await owner.query('SELECT pg_stat_force_next_flush()')
    const { rows } = await owner.query<{ all: number; beside: number }>(
      `SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS beside FROM pg_stat_user_tables WHERE relname = 'mints'`,
    )
    expect(rows[0]?.all).toBe(1000)
    expect(rows[0]?.beside).toBeGreaterThan(990)
  })
})
