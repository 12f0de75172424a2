import type { Prisma, PrismaClient } from '../../../generated/prisma/client.ts'
import { type Sql, statement } from '../../../lib/sql.ts'
import { perTenant } from '../../../plugins/with-tenant.ts'

export interface ApiKey {
  id: string
  prefix: string
  name: string
  scopes: string[]
  expiresAt: Date | null
  /** To the minute or so; null: never. */
  lastUsedAt: Date | null
  createdAt: Date
}

/** What finding out who calls needs of a key. */
export interface ApiKeySecret {
  tenantId: string
  secretHash: Uint8Array
  scopes: string[]
  expiresAt: Date | null
}

interface TenantApiKeyStore {
  create(tenantId: string, key: Omit<ApiKey, 'createdAt' | 'lastUsedAt'> & { secretHash: Buffer }): Promise<ApiKey>
  list(tenantId: string, limit: number, afterId: string | null): Promise<ApiKey[]>
  remove(tenantId: string, keyId: string): Promise<boolean>
}

export interface ApiKeyStore extends TenantApiKeyStore {
  /** Before the tenant is known: one row by the key's own id. */
  resolveSecret(keyId: string): Promise<ApiKeySecret | null>
  /** One that is gone is passed over. */
  noteUsesAcrossTenants(uses: { keyId: string; at: Date }[]): Promise<void>
}

const select = {
  id: true,
  prefix: true,
  name: true,
  scopes: true,
  expiresAt: true,
  lastUsedAt: true,
  createdAt: true,
} satisfies Prisma.ApiKeySelect

const RESOLVE = statement(
  'api_key_resolve',
  `SELECT tenant_id AS "tenantId", secret_hash AS "secretHash", scopes, expires_at AS "expiresAt" FROM api_keys WHERE id = $1`,
)
/** In the order of the ids, so that two replicas cannot wait for each other in a circle. */
const NOTE_USES = statement(
  'api_key_note_uses',
  `UPDATE api_keys k SET last_used_at = GREATEST(k.last_used_at, used.at)
     FROM (SELECT a.id, u.at FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, at)
             JOIN api_keys a ON a.id = u.id ORDER BY a.id FOR NO KEY UPDATE OF a) used
    WHERE k.id = used.id`,
)

function tenantStore(db: Prisma.TransactionClient): TenantApiKeyStore {
  return {
    create: (tenantId, { secretHash, ...key }) =>
      db.apiKey.create({ data: { ...key, tenantId, secretHash: new Uint8Array(secretHash) }, select }),
    list: (tenantId, limit, afterId) =>
      db.apiKey.findMany({
        where: { tenantId, ...(afterId ? { id: { lt: afterId } } : {}) },
        select,
        orderBy: { id: 'desc' },
        take: limit,
      }),
    async remove(tenantId, id) {
      const { count } = await db.apiKey.deleteMany({ where: { tenantId, id } })
      return count > 0
    },
  }
}

export function createApiKeyStore(prisma: PrismaClient, sql: Sql): ApiKeyStore {
  return {
    ...perTenant(prisma, tenantStore),
    async resolveSecret(id) {
      const [row] = await sql.rows<ApiKeySecret>(RESOLVE, [id])
      return row ?? null
    },
    async noteUsesAcrossTenants(uses) {
      const ids = uses.map(({ keyId }) => keyId)
      const times = uses.map(({ at }) => at)
      await sql.rows(NOTE_USES, [ids, times])
    },
  }
}
