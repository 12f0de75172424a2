import { expect, test } from 'vitest'
import { buildTestApp } from '../helpers/app.ts'

// Postgres tries five plans of their own before it may keep one for all
const TRIED = 5

interface Plans {
  name: string
  custom: number
  generic: number
}

async function mintAndReadPlans(callsAtOnce: number): Promise<Plans[]> {
  const t = await buildTestApp({ env: { DATABASE_POOL_MAX: '1' } }) // prepared statements belong to a connection
  await t.connectHost('user-1', 'host@example.com')
  const passes = await Promise.all(
    Array.from({ length: callsAtOnce }, () =>
      t.createPass({ meeting: '85996249517', host: { external_user_id: 'user-1' } }),
    ),
  )
  for (let turn = 0; turn < 12; turn++)
    for (const { statusCode } of await Promise.all(passes.map((pass) => t.bot(pass.join_token_url))))
      expect(statusCode).toBe(200)
  const read = `SELECT name, custom_plans::int AS custom, generic_plans::int AS generic FROM pg_prepared_statements
                 WHERE name LIKE 'mint_open%'`
  return (await t.app.pools.main.query<Plans>(read)).rows
}

test.each([1, 3, 12])(
  'the statement that opens %i mints is planned once for good, not at every mint',
  async (calls) => {
    const plans = await mintAndReadPlans(calls)
    for (const { custom } of plans) expect(custom).toBeLessThanOrEqual(TRIED)
    expect(plans.some(({ generic }) => generic > 0)).toBe(true)
  },
)
