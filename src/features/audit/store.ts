import { Prisma, type PrismaClient } from '../../generated/prisma/client.ts'

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

function conditionsOf(tenantId: string | undefined, filter: AuditFilter, after: string | null): Prisma.Sql {
  const { actor, action, subjectId, outcome, since, until } = filter
  const [atUs, id] = after?.split('.') ?? []
  const conditions = [
    tenantId !== undefined && Prisma.sql`tenant_id = ${tenantId}::uuid`,
    actor !== undefined && Prisma.sql`actor = ${actor}`,
    action !== undefined && Prisma.sql`action = ${action}`,
    subjectId !== undefined && Prisma.sql`subject_ids @> ARRAY[${subjectId}]`,
    outcome !== undefined && Prisma.sql`outcome IS NOT DISTINCT FROM ${outcome}`,
    since && Prisma.sql`at >= ${since}`,
    until && Prisma.sql`at < ${until}`,
    id && Prisma.sql`(at, id) < (timestamptz 'epoch' + ${atUs}::bigint * interval '1 microsecond', ${id}::uuid)`,
  ].filter((condition) => condition instanceof Prisma.Sql)
  return conditions.length > 0 ? Prisma.sql`WHERE ${Prisma.join(conditions, ' AND ')}` : Prisma.empty
}

export function createAuditTrailStore(db: PrismaClient): AuditTrailStore {
  return {
    list: (tenantId, filter, limit, after) => db.$queryRaw<AuditLine[]>`
      SELECT id, tenant_id AS "tenantId", at, actor, action, COALESCE(subject_ids, '{}') AS "subjectIds",
             request_id AS "requestId", address, outcome, status, count, details,
             (extract(epoch FROM at) * 1000000)::bigint || '.' || id AS position
        FROM audit_events ${conditionsOf(tenantId, filter, after)}
       ORDER BY at DESC, id DESC LIMIT ${limit}`,
  }
}
