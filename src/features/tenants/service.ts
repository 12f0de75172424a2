import { DEFAULT_TENANT_ID } from '../../default-tenant.ts'
import { AppError } from '../../errors.ts'
import type { CursorCodec } from '../../lib/cursor.ts'
import { toPage } from '../../lib/cursor.ts'
import { isUuid, uuidv7 } from '../../lib/ids.ts'
import type { Tenant, TenantStore } from './store.ts'

export interface TenantDeps {
  store: TenantStore
  cursors: CursorCodec
  /** Unlinks every host and organization of the tenant and revokes grants that nobody else links. */
  unlinkAll: (tenantId: string) => Promise<void>
}

export type TenantService = ReturnType<typeof createTenantService>

const unknownTenant = () => new AppError('not_found', 'No such tenant.')
const LIST_SCOPE = { tenantId: 'operator', list: 'tenants', filter: {} }

/** A slug nobody chose: readable from the name, unique by its random tail. */
function slugOf(name: string, id: string): string {
  const stem = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40)
    .replace(/-$/, '')
  return `${stem || 'tenant'}-${id.slice(-8)}`
}

/** The operator's view of tenants. */
export function createTenantService({ store, cursors, unlinkAll }: TenantDeps) {
  return {
    /** @throws conflict when the slug is taken */
    async create(input: { name: string; slug?: string | undefined; returnUrlOrigins: string[] }): Promise<Tenant> {
      const id = uuidv7()
      const slug = input.slug ?? slugOf(input.name, id)
      const tenant = await store.create({ id, slug, name: input.name, returnUrlOrigins: input.returnUrlOrigins })
      if (!tenant) throw new AppError('conflict', `The slug ${slug} is taken; choose another.`)
      return tenant
    },
    async list(limit: number, cursor: string | undefined) {
      const rows = await store.listAcrossTenants(limit + 1, cursors.decode(LIST_SCOPE, cursor))
      return toPage(rows, limit, (position) => cursors.encode(LIST_SCOPE, position))
    },
    /** @throws not_found */
    async get(tenantId: string): Promise<Tenant> {
      const tenant = await store.byId(tenantId)
      if (!tenant) throw unknownTenant()
      return tenant
    },
    /** @throws not_found */
    async update(
      tenantId: string,
      change: { name?: string | undefined; returnUrlOrigins?: string[] | undefined },
    ): Promise<Tenant> {
      const tenant = await store.update(tenantId, {
        ...(change.name === undefined ? {} : { name: change.name }),
        ...(change.returnUrlOrigins === undefined ? {} : { returnUrlOrigins: change.returnUrlOrigins }),
      })
      if (!tenant) throw unknownTenant()
      return tenant
    },
    /**
     * Deletes a tenant with everything of its own, at once.
     * @throws not_found; conflict for the tenant `default`, which always exists
     */
    async remove(tenantId: string): Promise<void> {
      if (tenantId === DEFAULT_TENANT_ID)
        throw new AppError('conflict', 'The tenant default always exists; delete its hosts and passes instead.')
      await this.get(tenantId)
      await unlinkAll(tenantId)
      if (!(await store.remove(tenantId))) throw unknownTenant()
    },
    /** Finds a tenant by what the header `Latchkey-Tenant` says; `default` without one. @throws not_found */
    async resolve(idOrSlug: string | undefined): Promise<string> {
      if (idOrSlug === undefined || idOrSlug === 'default') return DEFAULT_TENANT_ID
      const tenant = isUuid(idOrSlug) ? await store.byId(idOrSlug) : await store.resolveSlug(idOrSlug)
      if (!tenant) throw unknownTenant()
      return tenant.id
    },
  }
}
