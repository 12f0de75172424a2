import { Prisma, type PrismaClient } from '../../generated/prisma/client.ts'
import { type Sql, statement } from '../../lib/sql.ts'
import { perTenant } from '../../plugins/with-tenant.ts'
import { DECIDE, isGoneSince } from './conflict-rule.ts'

export type MappingSource = 'api' | 'event' | 'sync' | 'lookup'

/** Whose meeting it is, as a caller names it. */
export type MappingTarget = { hostId: string } | { externalUserId: string } | { organizationId: string }

/** A meeting number and whose it is. */
export interface Mapping {
  id: string
  meetingId: string
  /** Null for an organization's, and while nobody is connected under the external user id. */
  hostId: string | null
  externalUserId: string | null
  organizationId: string | null
  /** Of an organization's meeting that Zoom told of: its host there. */
  zoomUserId: string | null
  source: MappingSource
  /** When what the source said was so. */
  observedAt: Date
  /** What this took the place of, as stored: names of fields as in the API. */
  replaced: Replaced | null
  updatedAt: Date
}

export interface Replaced {
  source: MappingSource
  host_id: string | null
  organization_id: string | null
  observed_at: string
}

interface TenantMeetingStore {
  get(tenantId: string, meetingId: string): Promise<Mapping | null>
  list(
    tenantId: string,
    filter: { hostId?: string | undefined; source?: MappingSource | undefined },
    limit: number,
    afterId: string | null,
  ): Promise<Mapping[]>
  /**
   * Stores mappings made by the tenant itself, in one statement; each number at most once. Gives the numbers stored: the
   * others name a host or organization that the tenant does not have.
   */
  put(tenantId: string, rows: { id: string; meetingId: string; target: MappingTarget }[]): Promise<Set<string>>
  /** Also notes under the new `id` that it was taken away. */
  remove(tenantId: string, meetingId: string, id: string): Promise<boolean>
}

export interface MeetingStore extends TenantMeetingStore {
  /** Keeps whose meeting it is, known host or not, where the conflict rule lets it. `observedAt` null: now. */
  map(
    tenantId: string,
    row: { id: string; meetingId: string; source: MappingSource; observedAt: Date | null } & (
      | { externalUserId: string }
      | { organizationId: string }
    ),
  ): Promise<void>
}

const MAPPINGS = Prisma.sql`
  SELECT m.id, m.meeting_id AS "meetingId", h.id AS "hostId", m.external_user_id AS "externalUserId",
         m.organization_id AS "organizationId", CASE WHEN m.organization_id IS NOT NULL THEN m.zoom_user_id END AS "zoomUserId", m.source, m.observed_at AS "observedAt", m.replaced, m.updated_at AS "updatedAt"
    FROM meetings m LEFT JOIN hosts h ON h.tenant_id = m.tenant_id AND h.external_user_id = m.external_user_id`

const REPLACE = Prisma.raw(DECIDE)
const IS_GONE = isGoneSince({
  tenantId: 'given.tenant_id',
  meetingId: 'given.meeting_id',
  externalUserId: 'given.external_user_id',
  observedAt: 'given.observed_at',
})
/** Looks at the marks of events, which are no tenant's. $1 id, $2 tenant, $3 meeting, $4 user, $5 organization, $6 source, $7 when */
const MAP = statement(
  'meeting_map',
  `WITH given AS (
     SELECT $1::uuid AS id, $2::uuid AS tenant_id, $3::text AS meeting_id, $4::text AS external_user_id, $5::uuid AS organization_id,
            $6::text AS source, COALESCE($7::timestamptz, now()) AS observed_at)
   INSERT INTO meetings (id, tenant_id, meeting_id, external_user_id, organization_id, source, observed_at)
   SELECT id, tenant_id, meeting_id, external_user_id, organization_id, source, observed_at FROM given
    WHERE source = 'api' OR NOT ${IS_GONE}
   ${DECIDE}`,
)

export function createMeetingStore(prisma: PrismaClient, sql: Sql): MeetingStore {
  return {
    ...perTenant(prisma, tenantStore),
    async map(tenantId, { id, meetingId, source, observedAt, ...target }) {
      const externalUserId = 'externalUserId' in target ? target.externalUserId : null
      const organizationId = 'organizationId' in target ? target.organizationId : null
      await sql.rows(MAP, [id, tenantId, meetingId, externalUserId, organizationId, source, observedAt])
    },
  }
}

function tenantStore(db: Prisma.TransactionClient): TenantMeetingStore {
  return {
    async get(tenantId, meetingId) {
      const [row] = await db.$queryRaw<Mapping[]>`
        ${MAPPINGS} WHERE m.tenant_id = ${tenantId}::uuid AND m.meeting_id = ${meetingId}`
      return row ?? null
    },
    list(tenantId, { hostId, source }, limit, afterId) {
      const conditions = [
        Prisma.sql`m.tenant_id = ${tenantId}::uuid`,
        ...(hostId === undefined ? [] : [Prisma.sql`h.id = ${hostId}::uuid`]),
        ...(source === undefined ? [] : [Prisma.sql`m.source = ${source}`]),
        ...(afterId === null ? [] : [Prisma.sql`m.id < ${afterId}::uuid`]),
      ]
      return db.$queryRaw<Mapping[]>`
        ${MAPPINGS} WHERE ${Prisma.join(conditions, ' AND ')} ORDER BY m.id DESC LIMIT ${limit}`
    },
    async put(tenantId, rows) {
      const given = JSON.stringify(rows.map(({ target, ...row }) => ({ ...row, ...target })))
      // in the order of the numbers, so that two batches at once cannot wait for each other in a circle
      const stored = await db.$queryRaw<{ meetingId: string }[]>`
        WITH given AS (
          SELECT * FROM jsonb_to_recordset(${given}::jsonb) AS r (
            id uuid, "meetingId" text, "hostId" uuid, "externalUserId" text, "organizationId" uuid)),
        known AS (
          SELECT g.id, g."meetingId", coalesce(hi.external_user_id, he.external_user_id) AS external_user_id,
                 o.id AS organization_id
            FROM given g
            LEFT JOIN hosts hi ON hi.tenant_id = ${tenantId}::uuid AND hi.id = g."hostId"
            LEFT JOIN hosts he ON he.tenant_id = ${tenantId}::uuid AND he.external_user_id = g."externalUserId"
            LEFT JOIN organizations o ON o.tenant_id = ${tenantId}::uuid AND o.id = g."organizationId")
        INSERT INTO meetings (id, tenant_id, meeting_id, external_user_id, organization_id, source)
        SELECT id, ${tenantId}::uuid, "meetingId", external_user_id, organization_id, 'api' FROM known
         WHERE num_nonnulls(external_user_id, organization_id) = 1
         ORDER BY "meetingId"
        ${REPLACE} RETURNING meeting_id AS "meetingId"`
      return new Set(stored.map(({ meetingId }) => meetingId))
    },
    async remove(tenantId, meetingId, id) {
      const removed = await db.$queryRaw<object[]>`
        WITH gone AS (
          DELETE FROM meetings WHERE tenant_id = ${tenantId}::uuid AND meeting_id = ${meetingId} RETURNING tenant_id, meeting_id)
        INSERT INTO meeting_deletions AS d (id, tenant_id, meeting_id)
        SELECT ${id}::uuid, tenant_id, meeting_id FROM gone
        ON CONFLICT (tenant_id, meeting_id) DO UPDATE SET at = excluded.at RETURNING d.id`
      return removed.length > 0
    },
  }
}
