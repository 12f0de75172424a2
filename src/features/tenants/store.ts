import type { Prisma, PrismaClient } from '../../generated/prisma/client.ts'
import { type Sql, statement } from '../../lib/sql.ts'
import { withTenant } from '../../plugins/with-tenant.ts'

export interface Tenant {
  id: string
  slug: string
  name: string
  returnUrlOrigins: string[]
  createdAt: Date
}

export interface TenantStore {
  /** Null where the slug is taken. */
  create(tenant: Omit<Tenant, 'createdAt'>): Promise<Tenant | null>
  /** Newest first, after the given id. */
  listAcrossTenants(limit: number, afterId: string | null): Promise<Tenant[]>
  byId(tenantId: string): Promise<Tenant | null>
  /** Before the tenant is known. */
  resolveSlug(slug: string): Promise<Tenant | null>
  update(tenantId: string, change: Partial<Pick<Tenant, 'name' | 'returnUrlOrigins'>>): Promise<Tenant | null>
  /** Deletes the tenant and every row of its own; its hosts and organizations must be unlinked before. */
  remove(tenantId: string): Promise<boolean>
}

const select = {
  id: true,
  slug: true,
  name: true,
  returnUrlOrigins: true,
  createdAt: true,
} satisfies Prisma.TenantSelect

const COLUMNS = 'id, slug, name, return_url_origins AS "returnUrlOrigins", created_at AS "createdAt"'
const LIST = statement(
  'tenants_list',
  `SELECT ${COLUMNS} FROM tenants WHERE $2::uuid IS NULL OR id < $2 ORDER BY id DESC LIMIT $1`,
)
const BY_SLUG = statement('tenant_by_slug', `SELECT ${COLUMNS} FROM tenants WHERE slug = $1`)
const REMOVE_MINTS = statement(
  'tenant_remove_mints',
  'WITH gone AS (DELETE FROM mints WHERE tenant_id = $1 RETURNING 1) SELECT count(*)::int AS count FROM gone',
)
const REMOVE_KEYS = statement(
  'tenant_remove_keys',
  'WITH gone AS (DELETE FROM data_keys WHERE owner_id = $1 RETURNING 1) SELECT count(*)::int AS count FROM gone',
)

export function createTenantStore(prisma: PrismaClient, sql: Sql): TenantStore {
  return {
    create: (data) =>
      withTenant(prisma, data.id, async (db) => {
        const [row] = await db.tenant.createManyAndReturn({ data: [data], select, skipDuplicates: true })
        return row ?? null
      }),
    listAcrossTenants: (limit, afterId) => sql.rows<Tenant>(LIST, [limit, afterId]),
    byId: (id) => withTenant(prisma, id, (db) => db.tenant.findUnique({ where: { id }, select })),
    async resolveSlug(slug) {
      const [row] = await sql.rows<Tenant>(BY_SLUG, [slug])
      return row ?? null
    },
    update: (id, { name, returnUrlOrigins }) =>
      withTenant(prisma, id, async (db) => {
        const data = { ...(name ? { name } : {}), ...(returnUrlOrigins ? { returnUrlOrigins } : {}) }
        const [row] = await db.tenant.updateManyAndReturn({ where: { id }, data, select })
        return row ?? null
      }),
    remove: (id) =>
      withTenant(prisma, id, async (db) => {
        await db.zoomApp.deleteMany({ where: { tenantId: id } })
        const { count } = await db.tenant.deleteMany({ where: { id } })
        // these have no foreign key to cascade by; they come after the passes, whose locks a mint under way holds
        await db.$queryRawUnsafe(REMOVE_MINTS.text, id)
        await db.idempotencyKey.deleteMany({ where: { scopeId: id } })
        await db.$queryRawUnsafe(REMOVE_KEYS.text, id)
        return count > 0
      }),
  }
}
