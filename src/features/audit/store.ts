import type { PrismaClient } from '../../generated/prisma/client.ts'
import { type Sql, statement } from '../../lib/sql.ts'
import { withTenant } from '../../plugins/with-tenant.ts'

/** One line, as it is read. */
export interface AuditLine {
  id: string
  tenantId: string | null
  at: Date
  actor: string
  action: string
  subjectIds: string[]
  requestId: string | null
  address: string | null
  /** Null: never told, or not yet. */
  outcome: string | null
  status: number | null
  count: number
  details: Record<string, string | number | boolean | null>
  /** Where the line stands; goes into `list` as `after` for what follows it. */
  position: string
}

export interface AuditFilter {
  actor?: string | undefined
  action?: string | undefined
  subjectId?: string | undefined
  /** Null finds the untold. */
  outcome?: string | null | undefined
  since?: Date | undefined
  until?: Date | undefined
}

/** Reads the trail; `src/audit/audit-log.ts` writes it. */
export interface AuditTrailStore {
  /** Newest first. `tenantId` undefined: of all tenants, and of none. */
  list(tenantId: string | undefined, filter: AuditFilter, limit: number, after: string | null): Promise<AuditLine[]>
}

/**
 * $1 how many, $2 actor, $3 action, $4 subject, $5 whether an outcome is asked for, $6 which, $7 since, $8 until, $9 and $10 after which.
 * Two texts, since a condition that may be none keeps Postgres from the index by tenant.
 */
const listing = (condition: string) =>
  `SELECT id, tenant_id AS "tenantId", at, actor, action, COALESCE(subject_ids, '{}') AS "subjectIds",
            request_id AS "requestId", address, outcome, status, count, details,
            (extract(epoch FROM at) * 1000000)::bigint || '.' || id AS position
       FROM audit_events
      WHERE ${condition}
        AND ($2::text IS NULL OR actor = $2) AND ($3::text IS NULL OR action = $3)
        AND ($4::text IS NULL OR subject_ids @> ARRAY[$4]) AND (NOT $5::boolean OR outcome IS NOT DISTINCT FROM $6::text)
        AND ($7::timestamptz IS NULL OR at >= $7) AND ($8::timestamptz IS NULL OR at < $8)
        AND ($9::bigint IS NULL OR (at, id) < (timestamptz 'epoch' + $9 * interval '1 microsecond', $10::uuid))
      ORDER BY at DESC, id DESC LIMIT $1`
const OF_TENANT = listing('tenant_id = $11::uuid')
const OF_ALL = statement('audit_of_all', listing('true'))

export function createAuditTrailStore(prisma: PrismaClient, sql: Sql): AuditTrailStore {
  return {
    async list(tenantId, { actor, action, subjectId, outcome, since, until }, limit, after) {
      const [atUs, id] = after?.split('.') ?? []
      const of = [actor ?? null, action ?? null, subjectId ?? null, outcome !== undefined, outcome ?? null]
      const values = [limit, ...of, since ?? null, until ?? null, atUs ?? null, id ?? null]
      return tenantId === undefined
        ? await sql.rows<AuditLine>(OF_ALL, values)
        : await withTenant(prisma, tenantId, (tx) => tx.$queryRawUnsafe<AuditLine[]>(OF_TENANT, ...values, tenantId))
    },
  }
}
