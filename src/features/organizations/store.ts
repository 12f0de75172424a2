import { Prisma, type PrismaClient } from '../../generated/prisma/client.ts'
import { isUniqueViolation } from '../../lib/database-errors.ts'
import { linkedSyncSql, type SyncState } from '../../plugins/sync-state.ts'
import { perTenant } from '../../plugins/with-tenant.ts'

/** A tenant's link to the grant of a whole Zoom account, given by one of its admins. */
export interface Organization {
  id: string
  /** The identity: one per tenant and account, whichever admin connected it. */
  zoomAccountId: string
  /** Who connected it last, by the tenant's own id. */
  externalUserId: string
  grantId: string
  /** Null once the user’s data was erased. */
  zoomUserId: string | null
  email: string | null
  displayName: string | null
  status: 'connected' | 'reconnect_required' | 'blocked'
  statusReason: string | null
  scopes: string[]
  connectedAt: Date
  lastRefreshedAt: Date | null
  /** How the lists of its users and of their meetings were last read. */
  sync: SyncState | null
}

export interface OrganizationFilter {
  status?: string | undefined
  externalUserId?: string | undefined
  zoomAccountId?: string | undefined
  grantId?: string | undefined
}

export interface OrganizationLink {
  externalUserId: string
  grantId: string
  consentEpoch: number
  zoomAccountId: string
}

export interface OrganizationStore {
  byId(tenantId: string, id: string): Promise<Organization | null>
  list(tenantId: string, filter: OrganizationFilter, limit: number, afterId: string | null): Promise<Organization[]>
  idsOf(tenantId: string, limit: number): Promise<string[]>
  /** False where the tenant has the account or the grant already. */
  add(tenantId: string, id: string, link: OrganizationLink): Promise<boolean>
  /**
   * Puts the link under a known organization, by compare-and-set on the grant it has. `grant_taken` where another
   * organization of the tenant has the new one.
   */
  relink(
    tenantId: string,
    organization: { id: string; grantId: string },
    link: OrganizationLink,
  ): Promise<'done' | 'moved' | 'grant_taken'>
  /** Gives the grant it had; null where there is none. */
  remove(tenantId: string, id: string): Promise<string | null>
}

const COLUMNS = Prisma.sql`
  id, organization_account_id AS "zoomAccountId", external_user_id AS "externalUserId", grant_id AS "grantId",
  CASE WHEN zoom_user_id NOT LIKE 'erased:%' THEN zoom_user_id END AS "zoomUserId", email, display_name AS "displayName", status, status_reason AS "statusReason", scopes,
  connected_at AS "connectedAt", refreshed_at AS "lastRefreshedAt",
  ${Prisma.raw(linkedSyncSql('organization_states'))}`

const conditions = (filter: OrganizationFilter, afterId: string | null): Prisma.Sql[] => [
  ...(filter.status === undefined ? [] : [Prisma.sql`AND status = ${filter.status}`]),
  ...(filter.externalUserId === undefined ? [] : [Prisma.sql`AND external_user_id = ${filter.externalUserId}`]),
  ...(filter.zoomAccountId === undefined ? [] : [Prisma.sql`AND organization_account_id = ${filter.zoomAccountId}`]),
  ...(filter.grantId === undefined ? [] : [Prisma.sql`AND grant_id = ${filter.grantId}::uuid`]),
  ...(afterId === null ? [] : [Prisma.sql`AND id < ${afterId}::uuid`]),
]

export const createOrganizationStore = (prisma: PrismaClient): OrganizationStore => perTenant(prisma, tenantStore)

function tenantStore(db: Prisma.TransactionClient): OrganizationStore {
  return {
    async byId(tenantId, id) {
      const [row] = await db.$queryRaw<Organization[]>`
        SELECT ${COLUMNS} FROM organization_states WHERE tenant_id = ${tenantId}::uuid AND id = ${id}::uuid`
      return row ?? null
    },
    list: (tenantId, filter, limit, afterId) => db.$queryRaw<Organization[]>`
        SELECT ${COLUMNS} FROM organization_states
         WHERE tenant_id = ${tenantId}::uuid ${Prisma.join([Prisma.empty, ...conditions(filter, afterId)], ' ')}
         ORDER BY id DESC LIMIT ${limit}`,
    async idsOf(tenantId, limit) {
      const rows = await db.organization.findMany({ where: { tenantId }, select: { id: true }, take: limit })
      return rows.map(({ id }) => id)
    },
    async add(tenantId, id, link) {
      const { count } = await db.organization.createMany({ data: [{ ...link, id, tenantId }], skipDuplicates: true })
      return count > 0
    },
    async relink(tenantId, { id, grantId }, link) {
      try {
        // an older flow that ends later must not take a newer consent to the same grant back
        const count = await db.$executeRaw`
          UPDATE organizations
             SET grant_id = ${link.grantId}::uuid, external_user_id = ${link.externalUserId}, connected_at = now(),
                 zoom_account_id = ${link.zoomAccountId},
                 consent_epoch = CASE WHEN grant_id = ${link.grantId}::uuid
                   THEN greatest(consent_epoch, ${link.consentEpoch}::int) ELSE ${link.consentEpoch}::int END
           WHERE tenant_id = ${tenantId}::uuid AND id = ${id}::uuid AND grant_id = ${grantId}::uuid`
        return count > 0 ? 'done' : 'moved'
      } catch (error) {
        if (isUniqueViolation(error)) return 'grant_taken'
        throw error
      }
    },
    async remove(tenantId, id) {
      const [row] = await db.$queryRaw<{ grantId: string }[]>`
        DELETE FROM organizations WHERE tenant_id = ${tenantId}::uuid AND id = ${id}::uuid
        RETURNING grant_id AS "grantId"`
      return row?.grantId ?? null
    },
  }
}
