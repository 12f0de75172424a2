import type { Prisma, PrismaClient } from '../../../generated/prisma/client.ts'

export interface ApiKey {
  id: string
  prefix: string
  name: string
  scopes: string[]
  expiresAt: Date | null
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
  create(tenantId: string, key: Omit<ApiKey, 'createdAt'> & { secretHash: Buffer }): Promise<ApiKey>
  list(tenantId: string, limit: number, afterId: string | null): Promise<ApiKey[]>
  remove(tenantId: string, keyId: string): Promise<boolean>
  /** Before the tenant is known: one row by the key's own id. */
  resolveSecret(keyId: string): Promise<ApiKeySecret | null>
}

const select = {
  id: true,
  prefix: true,
  name: true,
  scopes: true,
  expiresAt: true,
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
  }
}
