import type { Prisma, PrismaClient } from '../../generated/prisma/client.ts'
import { type Sql, statement } from '../../lib/sql.ts'
import { perTenant } from '../../plugins/with-tenant.ts'

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

type Raw = Omit<EndpointRow, 'secretGeneration'> & { secretGeneration: string }

const RESOLVE = statement(
  'webhook_endpoint_resolve',
  `SELECT id, tenant_id AS "tenantId", url, description, events, is_enabled AS "isEnabled", disabled_reason AS "disabledReason",
          secret_ct AS "secretCt", previous_secret_ct AS "previousSecretCt", previous_secret_until AS "previousSecretUntil",
          secret_generation AS "secretGeneration", created_at AS "createdAt", updated_at AS "updatedAt"
     FROM webhook_endpoints WHERE id = $1`,
)
const DISABLE = statement(
  'webhook_endpoint_disable',
  'UPDATE webhook_endpoints SET is_enabled = false, disabled_reason = $2, updated_at = now() WHERE id = $1',
)
const LISTENING = statement(
  'webhook_endpoints_listening',
  `SELECT id, tenant_id AS "tenantId" FROM webhook_endpoints
    WHERE is_enabled AND (tenant_id IS NULL OR tenant_id = $1::uuid) AND (cardinality(events) = 0 OR $2 = ANY(events))`,
)

/** The one writer of `webhook_endpoints`. `owner`: a tenant, or null for the operator's own. */
export function createEndpointStore(prisma: PrismaClient, sql: Sql) {
  return {
    ...perTenant(prisma, ownerStore),
    /** Of whatever owner: for a delivery under way. */
    async resolveAcrossTenants(id: string): Promise<EndpointRow | null> {
      const [row] = await sql.rows<Raw>(RESOLVE, [id])
      return row ? { ...row, secretGeneration: BigInt(row.secretGeneration) } : null
    },
    async disableAcrossTenants(id: string, reason: string): Promise<void> {
      await sql.rows(DISABLE, [id, reason])
    },
    /** The enabled ones of the tenant and of the operator that listen for the event. */
    listeningAcrossTenants: (
      tenantId: string | null,
      type: string,
    ): Promise<{ id: string; tenantId: string | null }[]> => sql.rows(LISTENING, [tenantId, type]),
  }
}

function ownerStore(db: Prisma.TransactionClient) {
  const ofOwner = (owner: string | null, id: string) => ({ id, tenantId: owner })
  return {
    /** Null where the owner has as many as it may have. */
    async create(
      owner: string | null,
      endpoint: Omit<NewEndpoint, 'tenantId'>,
      most: number,
    ): Promise<EndpointRow | null> {
      // of one owner one after the other, or two at once would both find room
      const lock = `webhook_endpoints:${owner ?? 'operator'}`
      await db.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${lock}, 0))`
      const known = await db.webhookEndpoint.count({ where: { tenantId: owner } })
      return known < most ? await db.webhookEndpoint.create({ data: { ...endpoint, tenantId: owner } }) : null
    },
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
    async replaceSecrets(
      owner: string | null,
      { id, secretGeneration }: Pick<EndpointRow, 'id' | 'secretGeneration'>,
      secrets: SealedSigningSecrets,
    ): Promise<boolean> {
      const { count } = await db.webhookEndpoint.updateMany({
        where: { ...ofOwner(owner, id), secretGeneration },
        data: { ...secrets, secretGeneration: secretGeneration + 1n, updatedAt: new Date() },
      })
      return count > 0
    },
    async remove(owner: string | null, id: string): Promise<boolean> {
      const { count } = await db.webhookEndpoint.deleteMany({ where: ofOwner(owner, id) })
      return count > 0
    },
  }
}
