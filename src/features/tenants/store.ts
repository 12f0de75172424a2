import type { Prisma, PrismaClient } from '../../generated/prisma/client.ts'

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
  list(limit: number, afterId: string | null): Promise<Tenant[]>
  byId(tenantId: string): Promise<Tenant | null>
  bySlug(slug: string): Promise<Tenant | null>
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

export function createTenantStore(db: PrismaClient): TenantStore {
  return {
    async create(data) {
      const [row] = await db.tenant.createManyAndReturn({ data: [data], select, skipDuplicates: true })
      return row ?? null
    },
    async list(limit, afterId) {
      const where = afterId ? { id: { lt: afterId } } : {}
      return await db.tenant.findMany({ where, select, orderBy: { id: 'desc' }, take: limit })
    },
    byId: (id) => db.tenant.findUnique({ where: { id }, select }),
    bySlug: (slug) => db.tenant.findUnique({ where: { slug }, select }),
    async update(id, { name, returnUrlOrigins }) {
      const data = { ...(name ? { name } : {}), ...(returnUrlOrigins ? { returnUrlOrigins } : {}) }
      const [row] = await db.tenant.updateManyAndReturn({ where: { id }, data, select })
      return row ?? null
    },
    async remove(id) {
      const scope = { where: { tenantId: id } }
      const [, removed] = await db.$transaction([
        db.zoomApp.deleteMany(scope),
        db.tenant.deleteMany({ where: { id } }),
        // these have no foreign key to cascade by; they come after the passes, whose locks a mint under way holds
        db.mint.deleteMany(scope),
        db.idempotencyKey.deleteMany({ where: { scopeId: id } }),
        db.dataKey.deleteMany({ where: { ownerId: id } }),
      ])
      return removed.count > 0
    },
  }
}
