import type { PrismaClient } from '../../generated/prisma/client.ts'

/** Sealed signing secrets, bound to `secretGeneration`. */
export interface SealedSigningSecrets {
  secretCt: Uint8Array<ArrayBuffer>
  previousSecretCt: Uint8Array<ArrayBuffer> | null
  previousSecretUntil: Date | null
}

export interface EndpointRow extends SealedSigningSecrets {
  id: string
  /** Null: the operator's own. */
  tenantId: string | null
  url: string
  description: string | null
  events: string[]
  isEnabled: boolean
  disabledReason: string | null
  secretGeneration: bigint
  createdAt: Date
  updatedAt: Date
}

export type NewEndpoint = Omit<EndpointRow, 'createdAt' | 'updatedAt' | 'isEnabled' | 'disabledReason'>

/** What is to change; left out, it stays. */
export type EndpointChange = Partial<
  Pick<EndpointRow, 'url' | 'description' | 'events' | 'isEnabled' | 'disabledReason'>
>

export type EndpointStore = ReturnType<typeof createEndpointStore>

/** The one writer of `webhook_endpoints`. `owner`: a tenant, or null for the operator's own. */
export function createEndpointStore(db: PrismaClient) {
  const ofOwner = (owner: string | null, id: string) => ({ id, tenantId: owner })
  return {
    /** Null where the owner has as many as it may have. */
    create: (endpoint: NewEndpoint, most: number): Promise<EndpointRow | null> =>
      db.$transaction(async (db) => {
        // of one owner one after the other, or two at once would both find room
        const lock = `webhook_endpoints:${endpoint.tenantId ?? 'operator'}`
        await db.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${lock}, 0))`
        const known = await db.webhookEndpoint.count({ where: { tenantId: endpoint.tenantId } })
        return known < most ? await db.webhookEndpoint.create({ data: endpoint }) : null
      }),
    byId: (owner: string | null, id: string): Promise<EndpointRow | null> =>
      db.webhookEndpoint.findFirst({ where: ofOwner(owner, id) }),
    list: (owner: string | null, limit: number, afterId: string | null): Promise<EndpointRow[]> =>
      db.webhookEndpoint.findMany({
        where: { tenantId: owner, ...(afterId ? { id: { lt: afterId } } : {}) },
        orderBy: { id: 'desc' },
        take: limit,
      }),
    async update(owner: string | null, id: string, change: EndpointChange): Promise<EndpointRow | null> {
      const [row] = await db.webhookEndpoint.updateManyAndReturn({
        where: ofOwner(owner, id),
        data: { ...change, updatedAt: new Date() },
      })
      return row ?? null
    },
    /** By compare-and-set on the generation, which it raises by one. */
    async replaceSecrets({ id, secretGeneration }: EndpointRow, secrets: SealedSigningSecrets): Promise<boolean> {
      const { count } = await db.webhookEndpoint.updateMany({
        where: { id, secretGeneration },
        data: { ...secrets, secretGeneration: secretGeneration + 1n, updatedAt: new Date() },
      })
      return count > 0
    },
    async remove(owner: string | null, id: string): Promise<boolean> {
      const { count } = await db.webhookEndpoint.deleteMany({ where: ofOwner(owner, id) })
      return count > 0
    },
    /** Of whatever owner: for a delivery under way. */
    resolveAcrossTenants: (id: string): Promise<EndpointRow | null> => db.webhookEndpoint.findUnique({ where: { id } }),
    async disableAcrossTenants(id: string, reason: string): Promise<void> {
      const data = { isEnabled: false, disabledReason: reason, updatedAt: new Date() }
      await db.webhookEndpoint.updateMany({ where: { id }, data })
    },
    /** The enabled ones of the tenant and of the operator that listen for the event. */
    listening: (tenantId: string | null, type: string): Promise<{ id: string; tenantId: string | null }[]> =>
      db.$queryRaw<{ id: string; tenantId: string | null }[]>`
        SELECT id, tenant_id AS "tenantId" FROM webhook_endpoints
         WHERE is_enabled AND (tenant_id IS NULL OR tenant_id = ${tenantId}::uuid)
           AND (cardinality(events) = 0 OR ${type} = ANY(events))`,
  }
}
