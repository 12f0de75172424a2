import type { Prisma, PrismaClient } from '../../../generated/prisma/client.ts'

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

export interface ApiKeyStore {
  create(tenantId: string, key: Omit<ApiKey, 'createdAt' | 'lastUsedAt'> & { secretHash: Buffer }): Promise<ApiKey>
  list(tenantId: string, limit: number, afterId: string | null): Promise<ApiKey[]>
  remove(tenantId: string, keyId: string): Promise<boolean>
  /** Before the tenant is known: one row by the key's own id. */
  resolveSecret(keyId: string): Promise<ApiKeySecret | null>
  /** Of keys of any tenant; one that is gone is passed over. */
  noteUses(uses: { keyId: string; at: Date }[]): Promise<void>
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

export function createApiKeyStore(db: PrismaClient): ApiKeyStore {
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
    resolveSecret: (id) =>
      db.apiKey.findUnique({
        where: { id },
        select: { tenantId: true, secretHash: true, scopes: true, expiresAt: true },
      }),
    async noteUses(uses) {
      const ids = uses.map(({ keyId }) => keyId)
      const times = uses.map(({ at }) => at)
      // in the order of the ids, so that two replicas cannot wait for each other in a circle
      await db.$executeRaw`
        UPDATE api_keys k SET last_used_at = GREATEST(k.last_used_at, used.at)
          FROM (SELECT a.id, u.at FROM unnest(${ids}::uuid[], ${times}::timestamptz[]) AS u (id, at)
                  JOIN api_keys a ON a.id = u.id ORDER BY a.id FOR NO KEY UPDATE OF a) used
         WHERE k.id = used.id`
    },
  }
}
