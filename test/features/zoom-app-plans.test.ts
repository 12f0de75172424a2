import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import '../../src/features/tenants/zoom-apps/store.ts' // declares the statements
import { declaredStatements } from '../../src/lib/sql.ts'
import { createTestDatabase } from '../helpers/database.ts'

const APPS = 5000

/** A session as its functions have it, over a table large enough for an index to pay. */
async function ownerOfManyApps(): Promise<pg.Client> {
  const database = await createTestDatabase()
  onTestFinished(database.drop)
  const options = '-c app.across_tenants=on'
  const owner = new pg.Client({ connectionString: database.ownerUrl, options })
  await owner.connect()
  onTestFinished(() => owner.end())
  await owner.query(`
    INSERT INTO tenants (id, slug, name, return_url_origins)
    SELECT md5('tenant' || n)::uuid, 'tenant-' || n, 'x', '{}' FROM generate_series(1, ${APPS}) n;
    INSERT INTO zoom_apps (id, tenant_id, kind, client_id, managed_by)
    SELECT gen_random_uuid(), md5('tenant' || n)::uuid, 'user', 'client-' || n, 'api' FROM generate_series(1, ${APPS}) n;
    ANALYZE zoom_apps`)
  return owner
}

test.each([
  { label: 'zoom_apps_of_owner', values: (owner: string) => `${owner}, 'user'` },
  { label: 'zoom_app_kind_in_use', values: (owner: string) => `${owner}, 'user', NULL` },
])('$label finds the apps of an owner by an index, whichever plan Postgres keeps', async ({ label, values }) => {
  const owner = await ownerOfManyApps()
  const body = declaredStatements().find(({ name }) => name.startsWith(`${label}_`))?.body
  await owner.query(`PREPARE found AS ${body}`)
  for (const mode of ['force_custom_plan', 'force_generic_plan'])
    for (const id of [`md5('tenant7')::uuid`, 'NULL']) {
      await owner.query(`SET plan_cache_mode = ${mode}`)
      const { rows } = await owner.query(`EXPLAIN EXECUTE found (${values(id)})`)
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
      expect.soft(plan, `${mode}, ${id}`).toContain('zoom_apps_tenant_id_kind_idx')
      expect.soft(plan, `${mode}, ${id}`).not.toContain('Seq Scan')
    }
})
