import { Prisma, type PrismaClient } from '../../generated/prisma/client.ts'
import { eitherOf, type MintSql, mintStatement, type Sql, statement } from '../../lib/sql.ts'
import { perTenant } from '../../plugins/with-tenant.ts'
import { ageOf, leastIdOf } from '../../retention.ts'
import type { PassKind } from '../../zoom/scopes.ts'
import { APPROACHING, type ApproachingGrant } from './approaching.ts'

export type HostStatus = 'connected' | 'reconnect_required' | 'blocked'

/** A pass as it may be shown: never its secret, nor anything that holds it. */
export interface Pass {
  id: string
  /** Null for a pass of kind `access`, which has an external user id instead. */
  meetingId: string | null
  externalUserId: string | null
  kinds: PassKind[]
  /** Whom the meeting is mapped to now, or whose access token it is for; if connected. */
  host: { id: string; externalUserId: string; status: HostStatus } | null
  onBehalfOf: { id: string | null; externalUserId: string; status: HostStatus | null }[]
  joinAt: Date | null
  expiresAt: Date
  metadata: Record<string, string>
  createdAt: Date
}

export interface NewPass {
  id: string
  secretHash: Buffer
  meetingId: string | null
  /** Whose access token it is for, where it is for one and not for a meeting. */
  externalUserId: string | null
  kinds: PassKind[]
  /** External user ids, in order of preference. */
  onBehalfOf: string[]
  joinAt: Date | null
  expiresAt: Date
  metadata: Record<string, string>
}

export type PassChange = Partial<Pick<NewPass, 'meetingId' | 'joinAt' | 'expiresAt'>>

/** A pass as it is found by its secret, before its tenant is known. */
export interface ResolvedPass {
  passId: string
  tenantId: string
  kinds: PassKind[]
  meetingId: string | null
  revokedAt: Date | null
  /** By the database's clock, which is the one that opens mints. */
  isExpired: boolean
}

/** Revoked passes are gone for every function here. */
interface TenantPassStore {
  create(tenantId: string, pass: NewPass): Promise<void>
  byId(tenantId: string, id: string): Promise<Pass | null>
  list(
    tenantId: string,
    filter: { meetingId?: string | undefined },
    limit: number,
    afterId: string | null,
  ): Promise<Pass[]>
  update(tenantId: string, id: string, change: PassChange): Promise<boolean>
  revoke(tenantId: string, id: string): Promise<boolean>
}

export interface PassStore extends TenantPassStore {
  /** Before the tenant is known; revoked ones too. */
  resolveSecret(secretHash: Buffer): Promise<ResolvedPass | null>
  /** Some of the passes past their age; gives how many. */
  purgeAcrossTenants(limit: number): Promise<number>
  /** Whose access token a bot that is about to come would find near its end, soonest first. */
  approachingAcrossTenants(refreshMarginSeconds: number): Promise<ApproachingGrant[]>
}

const PASSES = Prisma.sql`
  SELECT p.id, p.meeting_id AS "meetingId", p.external_user_id AS "externalUserId", p.kinds, p.join_at AS "joinAt", p.expires_at AS "expiresAt", p.metadata,
         p.created_at AS "createdAt",
         CASE WHEN h.id IS NOT NULL
           THEN jsonb_build_object('id', h.id, 'externalUserId', h.external_user_id, 'status', h.status) END AS host,
         (SELECT coalesce(jsonb_agg(
                   jsonb_build_object('id', c.id, 'externalUserId', u.external_user_id, 'status', c.status)
                   ORDER BY u.place), '[]'::jsonb)
            FROM unnest(p.on_behalf_of) WITH ORDINALITY AS u (external_user_id, place)
            LEFT JOIN host_states c ON c.tenant_id = p.tenant_id AND c.external_user_id = u.external_user_id) AS "onBehalfOf"
    FROM passes p
    LEFT JOIN meetings m ON m.tenant_id = p.tenant_id AND m.meeting_id = p.meeting_id
    LEFT JOIN host_states h ON h.tenant_id = p.tenant_id
                            AND h.external_user_id = ${Prisma.raw(eitherOf('p.external_user_id', 'm.external_user_id'))}`

const RESOLVE = mintStatement(
  'pass_resolve',
  `SELECT id AS "passId", tenant_id AS "tenantId", kinds, meeting_id AS "meetingId", revoked_at AS "revokedAt",
          expires_at <= now() AS "isExpired"
     FROM passes WHERE secret_hash = $1`,
)

/** By the id first: only what lives unusually long is looked at in vain. $1 how many */
const PURGE = statement(
  'passes_purge',
  `DELETE FROM passes WHERE id IN (
     SELECT id FROM passes WHERE id < ${leastIdOf('passes')} AND expires_at < now() - ${ageOf('passes')} ORDER BY id LIMIT $1)
   RETURNING 1`,
)

/** What is a tenant's own, in a transaction that sees no other's. */
function tenantStore(db: Prisma.TransactionClient): TenantPassStore {
  return {
    async create(tenantId, { secretHash, ...pass }) {
      const data = { ...pass, tenantId, secretHash: new Uint8Array(secretHash) }
      await db.pass.create({ data, select: { id: true } })
    },
    async byId(tenantId, id) {
      const [row] = await db.$queryRaw<Pass[]>`
        ${PASSES} WHERE p.tenant_id = ${tenantId}::uuid AND p.id = ${id}::uuid AND p.revoked_at IS NULL`
      return row ?? null
    },
    list(tenantId, { meetingId }, limit, afterId) {
      const conditions = [
        Prisma.sql`p.tenant_id = ${tenantId}::uuid AND p.revoked_at IS NULL`,
        ...(meetingId === undefined ? [] : [Prisma.sql`p.meeting_id = ${meetingId}`]),
        ...(afterId === null ? [] : [Prisma.sql`p.id < ${afterId}::uuid`]),
      ]
      return db.$queryRaw<Pass[]>`
        ${PASSES} WHERE ${Prisma.join(conditions, ' AND ')} ORDER BY p.id DESC LIMIT ${limit}`
    },
    async update(tenantId, id, change) {
      const { count } = await db.pass.updateMany({ where: { tenantId, id, revokedAt: null }, data: change })
      return count > 0
    },
    async revoke(tenantId, id) {
      const data = { revokedAt: new Date() }
      const { count } = await db.pass.updateMany({ where: { tenantId, id, revokedAt: null }, data })
      return count > 0
    },
  }
}

export interface PassStoreDeps {
  prisma: PrismaClient
  /** Runs the statement that is on the minting path. */
  mint: MintSql
  /** Runs those of jobs. */
  sql: Sql
}

export function createPassStore({ prisma, mint, sql }: PassStoreDeps): PassStore {
  return {
    ...perTenant(prisma, tenantStore),
    async resolveSecret(secretHash) {
      const [row] = await mint.rows<ResolvedPass>(RESOLVE, [secretHash])
      return row ?? null
    },
    purgeAcrossTenants: async (limit) => (await sql.rows(PURGE, [limit])).length,
    approachingAcrossTenants: (refreshMarginSeconds) => sql.rows<ApproachingGrant>(APPROACHING, [refreshMarginSeconds]),
  }
}
