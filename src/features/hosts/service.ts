import { AppError, foreignDatabase } from '../../errors.ts'
import type { GrantVault } from '../../grants/vault.ts'
import { type CursorCodec, toPage } from '../../lib/cursor.ts'
import { uuidv7 } from '../../lib/ids.ts'
import { removeAll } from '../../lib/remove-all.ts'
import type { NextPass, NextPassStore, RankedHost } from './next-passes.ts'
import type { Host, HostFilter, HostStore } from './store.ts'

export interface HostDeps {
  store: HostStore
  nextPasses: NextPassStore
  cursors: CursorCodec
  vault: Pick<GrantVault, 'releaseIfUnlinked'>
  /** In a copy of another installation's database nothing is revoked: the original lives on the same grant. */
  isForeignDatabase: () => boolean
}

/** A grant that a connect flow has just stored, and for whom. */
export interface HostLink {
  externalUserId: string
  grantId: string
  consentEpoch: number
  /** What to do where another Zoom user is connected under this external user id. */
  onOtherZoomUser: 'refuse' | 'replace'
}

export type HostService = ReturnType<typeof createHostService>

const unknownHost = () => new AppError('not_found', 'No such host.')
// each lost race means that another flow of the same person got in between
const MAX_TRIES = 5

/** A tenant's connected Zoom users. */
export function createHostService({ store, nextPasses, cursors, vault, isForeignDatabase }: HostDeps) {
  async function remove(tenantId: string, hostId: string, options: { revoke: boolean }): Promise<void> {
    if (options.revoke && isForeignDatabase()) throw foreignDatabase()
    const grantId = await store.remove(tenantId, hostId)
    if (grantId === null) throw unknownHost()
    await vault.releaseIfUnlinked(grantId, options)
  }

  /** One look and one write; null where somebody changed the host in between. */
  async function tryLink(tenantId: string, link: HostLink) {
    const { externalUserId, grantId, consentEpoch, onOtherZoomUser } = link
    const id = uuidv7()
    if (await store.add(tenantId, { id, externalUserId, grantId, consentEpoch }))
      return { hostId: id, replacedGrantId: null }
    const known = await store.byExternalUserId(tenantId, externalUserId)
    if (!known) {
      const [holder] = await store.list(tenantId, { grantId }, 1, null)
      if (!holder) return null
      throw new AppError('already_connected', 'This Zoom user is connected under another external_user_id.')
    }
    if (known.grantId === grantId) {
      const isRenewed = await store.renew(tenantId, known.id, grantId, consentEpoch)
      return isRenewed ? { hostId: known.id, replacedGrantId: null } : null
    }
    const isOtherZoomUser = !(await store.isSameZoomUser(known.grantId, grantId))
    if (isOtherZoomUser && onOtherZoomUser === 'refuse')
      throw new AppError('other_zoom_user', 'Another Zoom user is connected under this external_user_id.')
    const outcome = await store.regrant(tenantId, known, { grantId, consentEpoch, isOtherZoomUser })
    if (outcome === 'grant_taken')
      throw new AppError('already_connected', 'This Zoom user is connected under another external_user_id.')
    return outcome === 'done' ? { hostId: known.id, replacedGrantId: known.grantId } : null
  }

  return {
    remove,
    /** Null for an unknown id and for another tenant's. */
    byId: (tenantId: string, hostId: string): Promise<Host | null> => store.byId(tenantId, hostId),
    byExternalUserId: (tenantId: string, externalUserId: string): Promise<Host | null> =>
      store.byExternalUserId(tenantId, externalUserId),
    /** Null where the tenant does not link this grant. */
    async byGrant(tenantId: string, grantId: string): Promise<Host | null> {
      const [host] = await store.list(tenantId, { grantId }, 1, null)
      return host ?? null
    },
    /** @throws not_found */
    async get(tenantId: string, hostId: string): Promise<Host> {
      const host = await store.byId(tenantId, hostId)
      if (!host) throw unknownHost()
      return host
    },
    /** Newest first, or by the next pass. @throws invalid_request for a cursor of another list or order */
    async list(
      tenantId: string,
      filter: HostFilter,
      page: { limit: number; cursor?: string | undefined; sort?: 'next_pass' | undefined },
    ): Promise<{ data: (Host | RankedHost)[]; nextCursor: string | null }> {
      const { limit, sort } = page
      const scope = { tenantId, list: 'hosts', filter: { ...filter, sort } }
      const after = cursors.decode(scope, page.cursor)
      const encode = (position: string) => cursors.encode(scope, position)
      if (sort === undefined) return toPage(await store.list(tenantId, filter, limit + 1, after), limit, encode)
      const ranked = await nextPasses.rank(tenantId, filter, limit + 1, after)
      return toPage(ranked, limit, encode, ({ position }) => position)
    },
    /** Which bots will ask this host's grant, the first to come first. */
    nextPassesOf: (tenantId: string, hostId: string, limit: number): Promise<NextPass[]> =>
      nextPasses.ofHost(tenantId, hostId, limit),
    /**
     * Links a grant to the tenant's user and keeps the host's id when it was linked before. The grant that the host had
     * instead, if any, is the caller's to release. @throws other_zoom_user, already_connected
     */
    async link(tenantId: string, link: HostLink): Promise<{ hostId: string; replacedGrantId: string | null }> {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const linked = await tryLink(tenantId, link)
        if (linked) return linked
      }
      throw new AppError('busy', 'This user is being connected by several flows at once; try again.')
    },
    /** Unlinks every host of the tenant and lets go of what nobody else links; after a crash a second call goes on. */
    unlinkAll: (tenantId: string): Promise<void> =>
      removeAll(
        (limit) => store.idsOf(tenantId, limit),
        (id) => remove(tenantId, id, { revoke: true }),
      ),
  }
}
