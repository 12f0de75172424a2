import { Prisma, type PrismaClient } from '../../generated/prisma/client.ts'
import { isUniqueViolation } from '../../lib/database-errors.ts'
import { type Sql, statement } from '../../lib/sql.ts'
import { linkedSyncSql, type SyncState } from '../../plugins/sync-state.ts'
import { perTenant } from '../../plugins/with-tenant.ts'

/** A tenant's connected Zoom user: the link and the state of its grant, never its tokens. */
export interface Host {
  id: string
  externalUserId: string
  grantId: string
  /** Null once the user's data was erased. */
  zoomUserId: string | null
  zoomAccountId: string | null
  email: string | null
  displayName: string | null
  status: 'connected' | 'reconnect_required' | 'blocked'
  statusReason: string | null
  scopes: string[]
  connectedAt: Date
  lastRefreshedAt: Date | null
  sync: SyncState | null
}

export interface HostFilter {
  status?: string | undefined
  externalUserId?: string | undefined
  zoomUserId?: string | undefined
  grantId?: string | undefined
  email?: string | undefined
}

export interface NewHost {
  id: string
  externalUserId: string
  grantId: string
  consentEpoch: number
}

interface TenantHostStore {
  byId(tenantId: string, id: string): Promise<Host | null>
  byExternalUserId(tenantId: string, externalUserId: string): Promise<Host | null>
  list(tenantId: string, filter: HostFilter, limit: number, afterId: string | null): Promise<Host[]>
  idsOf(tenantId: string, limit: number): Promise<string[]>
  /** False where the tenant knows the external user id or the grant already. */
  add(tenantId: string, host: NewHost): Promise<boolean>
  /** A new consent for the same grant. */
  renew(tenantId: string, id: string, grantId: string, consentEpoch: number): Promise<boolean>
  /**
   * Puts another grant under the host, by compare-and-set on the one it has. With another Zoom user, what was found to be
   * the former one's meetings goes. `grant_taken` where another host of the tenant has the grant.
   */
  regrant(
    tenantId: string,
    host: { id: string; externalUserId: string; grantId: string },
    next: { grantId: string; consentEpoch: number; isOtherZoomUser: boolean },
  ): Promise<'done' | 'moved' | 'grant_taken'>
  /** Gives the grant that the host had; null where there is no such host. Mappings that the tenant made itself stay. */
  remove(tenantId: string, id: string): Promise<string | null>
}

export interface HostStore extends TenantHostStore {
  /** Whether one Zoom user is behind both grants, also where his data was erased since. */
  isSameZoomUser(grantId: string, otherGrantId: string): Promise<boolean>
}

/** Of `host_states`. */
export const HOST_COLUMNS = Prisma.sql`
  id, external_user_id AS "externalUserId", grant_id AS "grantId",
  CASE WHEN zoom_user_id NOT LIKE 'erased:%' THEN zoom_user_id END AS "zoomUserId",
  zoom_account_id AS "zoomAccountId", email, display_name AS "displayName", status, status_reason AS "statusReason", scopes,
  connected_at AS "connectedAt", refreshed_at AS "lastRefreshedAt",
  ${Prisma.raw(linkedSyncSql('host_states'))}`

/** What `host_states` is filtered by, each beginning with AND. */
export const filterConditions = (filter: HostFilter): Prisma.Sql[] => [
  ...(filter.status === undefined ? [] : [Prisma.sql`AND status = ${filter.status}`]),
  ...(filter.externalUserId === undefined ? [] : [Prisma.sql`AND external_user_id = ${filter.externalUserId}`]),
  ...(filter.zoomUserId === undefined ? [] : [Prisma.sql`AND zoom_user_id = ${filter.zoomUserId}`]),
  ...(filter.grantId === undefined ? [] : [Prisma.sql`AND grant_id = ${filter.grantId}::uuid`]),
  ...(filter.email === undefined ? [] : [Prisma.sql`AND lower(email) = lower(${filter.email})`]),
]

/** A grant that nobody of the tenant links yet is no tenant's to see. */
const IS_SAME = statement(
  'host_is_same_zoom_user',
  `SELECT starts_with(erased_zoom_user(a.zoom_app_id, a.zoom_user_id), erased_zoom_user(a.zoom_app_id, b.zoom_user_id)) AS "isSame"
     FROM grants a, grants b WHERE a.id = $1 AND b.id = $2`,
)

export function createHostStore(prisma: PrismaClient, sql: Sql): HostStore {
  return {
    ...perTenant(prisma, tenantStore),
    async isSameZoomUser(grantId, otherGrantId) {
      const [row] = await sql.rows<{ isSame: boolean }>(IS_SAME, [grantId, otherGrantId])
      return row?.isSame ?? false
    },
  }
}

function tenantStore(db: Prisma.TransactionClient): TenantHostStore {
  return {
    async byId(tenantId, id) {
      const [row] = await db.$queryRaw<Host[]>`
        SELECT ${HOST_COLUMNS} FROM host_states WHERE tenant_id = ${tenantId}::uuid AND id = ${id}::uuid`
      return row ?? null
    },
    async byExternalUserId(tenantId, externalUserId) {
      const [row] = await db.$queryRaw<Host[]>`
        SELECT ${HOST_COLUMNS} FROM host_states WHERE tenant_id = ${tenantId}::uuid AND external_user_id = ${externalUserId}`
      return row ?? null
    },
    list(tenantId, filter, limit, afterId) {
      const after = afterId === null ? Prisma.empty : Prisma.sql`AND id < ${afterId}::uuid`
      return db.$queryRaw<Host[]>`
        SELECT ${HOST_COLUMNS} FROM host_states
         WHERE tenant_id = ${tenantId}::uuid ${Prisma.join([...filterConditions(filter), after], ' ')}
         ORDER BY id DESC LIMIT ${limit}`
    },
    async idsOf(tenantId, limit) {
      const rows = await db.host.findMany({ where: { tenantId }, select: { id: true }, take: limit })
      return rows.map(({ id }) => id)
    },
    async add(tenantId, host) {
      const { count } = await db.host.createMany({ data: [{ ...host, tenantId }], skipDuplicates: true })
      return count > 0
    },
    async renew(tenantId, id, grantId, consentEpoch) {
      // an older flow that ends later must not take a newer consent back
      const count = await db.$executeRaw`
        UPDATE hosts SET consent_epoch = greatest(consent_epoch, ${consentEpoch}::int), connected_at = now()
         WHERE tenant_id = ${tenantId}::uuid AND id = ${id}::uuid AND grant_id = ${grantId}::uuid`
      return count > 0
    },
    async regrant(tenantId, { id, externalUserId, grantId }, { isOtherZoomUser, ...next }) {
      try {
        const data = { ...next, connectedAt: new Date() }
        const { count } = await db.host.updateMany({ where: { tenantId, id, grantId }, data })
        if (count === 0) return 'moved'
        const found = { tenantId, externalUserId, source: { not: 'api' } }
        if (isOtherZoomUser) await db.meeting.deleteMany({ where: found })
        return 'done'
      } catch (error) {
        if (isUniqueViolation(error)) return 'grant_taken'
        throw error
      }
    },
    async remove(tenantId, id) {
      // one statement, so that no mapping found by us outlives the host it was found for
      const [row] = await db.$queryRaw<{ grantId: string }[]>`
        WITH gone AS (
          DELETE FROM hosts WHERE tenant_id = ${tenantId}::uuid AND id = ${id}::uuid
          RETURNING tenant_id, external_user_id, grant_id),
        imported AS (
          UPDATE imported_tokens i SET state = 'linked' FROM gone
           WHERE i.tenant_id = gone.tenant_id AND i.grant_id = gone.grant_id AND i.state = 'redeemed'),
        forgotten AS (
          DELETE FROM meetings m USING gone
           WHERE m.tenant_id = gone.tenant_id AND m.external_user_id = gone.external_user_id AND m.source <> 'api')
        SELECT grant_id AS "grantId" FROM gone`
      return row?.grantId ?? null
    },
  }
}
