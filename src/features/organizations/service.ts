import { AppError, foreignDatabase } from '../../errors.ts'
import type { GrantVault } from '../../grants/vault.ts'
import { type CursorCodec, toPage } from '../../lib/cursor.ts'
import { uuidv7 } from '../../lib/ids.ts'
import { removeAll } from '../../lib/remove-all.ts'
import type { Organization, OrganizationFilter, OrganizationLink, OrganizationStore } from './store.ts'

export interface OrganizationDeps {
  store: OrganizationStore
  cursors: CursorCodec
  vault: Pick<GrantVault, 'releaseIfUnlinked'>
  /** In a copy of another installation's database nothing is revoked: the original lives on the same grant. */
  isForeignDatabase: () => boolean
}

export type OrganizationService = ReturnType<typeof createOrganizationService>

const unknownOrganization = () => new AppError('not_found', 'No such organization.')
// each lost race means that another admin's flow got in between
const MAX_TRIES = 5

/** A tenant's links to grants of whole Zoom accounts. */
export function createOrganizationService({ store, cursors, vault, isForeignDatabase }: OrganizationDeps) {
  async function remove(tenantId: string, organizationId: string, options: { revoke: boolean }): Promise<void> {
    if (options.revoke && isForeignDatabase()) throw foreignDatabase()
    const grantId = await store.remove(tenantId, organizationId)
    if (grantId === null) throw unknownOrganization()
    await vault.releaseIfUnlinked(grantId, options)
  }

  /** One look and one write; null where somebody changed the organization in between. */
  async function tryLink(tenantId: string, link: OrganizationLink) {
    const id = uuidv7()
    if (await store.add(tenantId, id, link)) return { organizationId: id, replacedGrantId: null }
    const [ofAccount] = await store.list(tenantId, { zoomAccountId: link.zoomAccountId }, 1, null)
    // the admin may have moved to another account since: the link follows him
    const [ofGrant] = ofAccount ? [] : await store.list(tenantId, { grantId: link.grantId }, 1, null)
    const known = ofAccount ?? ofGrant
    if (!known) return null
    const outcome = await store.relink(tenantId, known, link)
    if (outcome === 'grant_taken')
      throw new AppError('already_connected', 'This Zoom user connected another Zoom account here.')
    if (outcome === 'moved') return null
    return { organizationId: known.id, replacedGrantId: known.grantId === link.grantId ? null : known.grantId }
  }

  return {
    remove,
    /** Null for an unknown id and for another tenant's. */
    byId: (tenantId: string, organizationId: string): Promise<Organization | null> =>
      store.byId(tenantId, organizationId),
    /** @throws not_found */
    async get(tenantId: string, organizationId: string): Promise<Organization> {
      const organization = await store.byId(tenantId, organizationId)
      if (!organization) throw unknownOrganization()
      return organization
    },
    /** @throws invalid_request for a cursor of another list */
    async list(tenantId: string, filter: OrganizationFilter, limit: number, cursor: string | undefined) {
      const scope = { tenantId, list: 'organizations', filter: { ...filter } }
      const rows = await store.list(tenantId, filter, limit + 1, cursors.decode(scope, cursor))
      return toPage(rows, limit, (position) => cursors.encode(scope, position))
    },
    /**
     * Links an admin's grant to the tenant's organization of that Zoom account, which keeps its id whichever admin connects.
     * The grant it had instead, if any, is the caller's to release. @throws already_connected
     */
    async link(
      tenantId: string,
      link: OrganizationLink,
    ): Promise<{ organizationId: string; replacedGrantId: string | null }> {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const linked = await tryLink(tenantId, link)
        if (linked) return linked
      }
      throw new AppError('busy', 'This organization is being connected by several flows at once; try again.')
    },
    /** Unlinks every organization of the tenant; after a crash a second call goes on. */
    unlinkAll: (tenantId: string): Promise<void> =>
      removeAll(
        (limit) => store.idsOf(tenantId, limit),
        (id) => remove(tenantId, id, { revoke: true }),
      ),
  }
}
