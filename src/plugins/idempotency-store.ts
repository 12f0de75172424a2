import { Prisma, type PrismaClient } from '../generated/prisma/client.ts'
import { uuidv7 } from '../lib/ids.ts'
import { inParts } from '../lib/in-parts.ts'
import { type Sql, statement } from '../lib/sql.ts'
import { ageOf } from '../retention.ts'
import { perTenant } from './with-tenant.ts'

/** A key that somebody took, and what came of it. */
export interface KnownKey {
  id: string
  requestHash: Uint8Array
  /** Null while the request is under way. */
  status: number | null
  responseCt: Uint8Array | null
}

/** A scope is a tenant or the operator, and row-level security takes it for a tenant. */
interface ScopeStore {
  /** Takes a free, expired or abandoned key and gives the row's id; null where another request has it. */
  claim(scopeId: string, keyHash: Buffer, requestHash: Buffer): Promise<string | null>
  read(scopeId: string, keyHash: Buffer): Promise<KnownKey | null>
  /** Keeps the answer, if the row is still this request's. */
  keep(scopeId: string, id: string, status: number, responseCt: Buffer): Promise<void>
  /** Frees the key of a request that failed. */
  free(scopeId: string, id: string): Promise<void>
}

export interface IdempotencyStore extends ScopeStore {
  /** Deletes keys whose time is over, in batches; gives how many. */
  purgeExpiredAcrossTenants(): Promise<number>
}

const PURGE_BATCH = 1000
const AGE = Prisma.raw(ageOf('idempotency_keys'))
const PURGE = statement(
  'idempotency_keys_purge',
  `DELETE FROM idempotency_keys WHERE id IN (
     SELECT id FROM idempotency_keys WHERE created_at < now() - ${ageOf('idempotency_keys')} LIMIT $1) RETURNING 1`,
)
const bytes = (buffer: Buffer) => new Uint8Array(buffer)

/** The one writer of `idempotency_keys`. */
export function createIdempotencyStore(prisma: PrismaClient, sql: Sql): IdempotencyStore {
  return {
    ...perTenant(prisma, scopeStore),
    purgeExpiredAcrossTenants: () =>
      inParts(PURGE_BATCH, null, async (limit) => (await sql.rows(PURGE, [limit])).length),
  }
}

function scopeStore(db: Prisma.TransactionClient): ScopeStore {
  return {
    async claim(scopeId, keyHash, requestHash) {
      // 24 hours: contract §6. 60 seconds: far longer than any request takes, so its process must have died.
      const [row] = await db.$queryRaw<{ id: string }[]>`
        INSERT INTO idempotency_keys AS k (id, scope_id, key_hash, request_hash)
        VALUES (${uuidv7()}::uuid, ${scopeId}::uuid, ${bytes(keyHash)}, ${bytes(requestHash)})
        ON CONFLICT (scope_id, key_hash) DO UPDATE
           SET id = excluded.id, request_hash = excluded.request_hash, status = NULL, response_ct = NULL,
               created_at = now()
         WHERE k.created_at < now() - ${AGE}
            OR (k.status IS NULL AND k.created_at < now() - interval '60 seconds')
        RETURNING k.id`
      return row?.id ?? null
    },
    read: (scopeId, keyHash) =>
      db.idempotencyKey.findUnique({
        where: { scopeId_keyHash: { scopeId, keyHash: bytes(keyHash) } },
        select: { id: true, requestHash: true, status: true, responseCt: true },
      }),
    async keep(scopeId, id, status, responseCt) {
      await db.idempotencyKey.updateMany({ where: { id, scopeId }, data: { status, responseCt: bytes(responseCt) } })
    },
    async free(scopeId, id) {
      await db.idempotencyKey.deleteMany({ where: { id, scopeId, status: null } })
    },
  }
}
