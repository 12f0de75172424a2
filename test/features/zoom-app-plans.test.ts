import { expect, onTestFinished, test } from 'vitest'
import '../../src/features/tenants/zoom-apps/store.ts' // declares the statements
import { createTestDatabase } from '../helpers/database.ts'
import { asFunction, bodyOf, planIn } from '../helpers/plans.ts'

const APPS = 5000
/** A table large enough for an index to pay. */
const MANY_APPS = `
  INSERT INTO tenants (id, slug, name, return_url_origins)
  SELECT md5('tenant' || n)::uuid, 'tenant-' || n, 'x', '{}' FROM generate_series(1, ${APPS}) n;
  INSERT INTO zoom_apps (id, tenant_id, kind, client_id, managed_by)
  SELECT gen_random_uuid(), md5('tenant' || n)::uuid, 'user', 'client-' || n, 'api' FROM generate_series(1, ${APPS}) n;
  ANALYZE zoom_apps`

test.each([
  { label: 'zoom_apps_of_owner', values: (owner: string) => `${owner}, 'user'` },
  { label: 'zoom_app_kind_in_use', values: (owner: string) => `${owner}, 'user', NULL` },
])('$label finds the apps of an owner by an index, whichever plan Postgres keeps', async ({ label, values }) => {
  const database = await createTestDatabase()
  onTestFinished(database.drop)
  await asFunction(database, async (owner) => {
    await owner.query(MANY_APPS)
    await owner.query(`PREPARE found AS ${bodyOf(label)}`)
    for (const mode of ['force_custom_plan', 'force_generic_plan'])
      for (const id of [`md5('tenant7')::uuid`, 'NULL']) {
        await owner.query(`SET plan_cache_mode = ${mode}`)
        const plan = planIn(await owner.query(`EXPLAIN EXECUTE found (${values(id)})`))
        expect.soft(plan, `${mode}, ${id}`).toContain('zoom_apps_tenant_id_kind_idx')
        expect.soft(plan, `${mode}, ${id}`).not.toContain('Seq Scan')
      }
  })
})
