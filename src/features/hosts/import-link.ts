import { AppError } from '../../errors.ts'
import type { GrantVault } from '../../grants/vault.ts'
import { sleep } from '../../lib/deadline.ts'
import { claimsOf } from '../../zoom/oauth.ts'
import type { MeOutcome, ZoomUsers } from '../../zoom/users.ts'
import { deferred, type ImportRow, type Outcome, rejected } from './import-outcome.ts'
import type { Importer, ImportStore } from './import-store.ts'
import type { HostLink } from './service.ts'
import type { Host } from './store.ts'

export interface ImportLinkDeps {
  store: Pick<ImportStore, 'rejected' | 'linked' | 'redeemedOf'>
  hosts: {
    link: (tenantId: string, link: HostLink) => Promise<{ hostId: string; replacedGrantId: string | null }>
    byId: (tenantId: string, hostId: string) => Promise<Host | null>
  }
  ofGrant: (grantId: string) => Promise<{ zoomUserId: string | null } | null>
  vault: Pick<GrantVault, 'withAccessToken' | 'noteProfile' | 'releaseIfUnlinked'>
  users: Pick<ZoomUsers, 'me'>
  log: { error: (fields: object, message: string) => void }
}

/** A token whose grant is stored, as its row says. */
interface Redeemed {
  id: string
  grantId: string
  consentEpoch: number
}

const PROFILE_ATTEMPTS = 3
const PROFILE_PAUSE_MS = 500
/** Verdicts on this import; the grant is then let go, unless somebody links it. Anything else is worth another try. */
const REFUSALS = ['other_zoom_user', 'already_connected', 'connect_failed', 'reconnect_required', 'host_not_connected']

const failed = (reason: string) => new AppError('connect_failed', 'The host could not be connected.', { reason })

export type ImportLink = ReturnType<typeof createImportLink>

/** The second half of an import: from the stored grant to the host. May be repeated until it is done. */
export function createImportLink({ store, hosts, ofGrant, vault, users, log }: ImportLinkDeps) {
  async function patiently(accessToken: string): Promise<MeOutcome> {
    let profile = await users.me(accessToken)
    for (let more = 1; more < PROFILE_ATTEMPTS && profile.outcome === 'unavailable'; more++) {
      await sleep(PROFILE_PAUSE_MS)
      profile = await users.me(accessToken)
    }
    return profile
  }

  /** Zoom must not contradict whose grant this is. @throws connect_failed, zoom_unavailable, other_zoom_user */
  async function checkIdentity(grantId: string, { refreshToken }: ImportRow): Promise<void> {
    const grant = await ofGrant(grantId)
    if (!grant) throw failed('released')
    const claimed = claimsOf(refreshToken)
    if (claimed && grant.zoomUserId && claimed.zoomUserId !== grant.zoomUserId)
      throw new AppError('other_zoom_user', 'Zoom gave another user’s grant for this refresh token.')
    const profile = await vault.withAccessToken(grantId, patiently)
    if (profile.outcome === 'unavailable') throw new AppError('zoom_unavailable', 'Zoom did not answer; try again.')
    if (profile.outcome !== 'known') return // claims stand in for 4711 alone, as in the connect flow
    if (profile.id !== grant.zoomUserId) {
      log.error({ grant_id: grantId }, 'a fresh access token and /users/me name different users')
      throw failed('identity_mismatch')
    }
    await vault.noteProfile(grantId, profile)
  }

  /** Its own trouble changes nothing for the import, which is decided; a job tries again. */
  async function release(grantId: string): Promise<void> {
    await vault.releaseIfUnlinked(grantId, { revoke: true }).catch((error: unknown) => {
      log.error({ err: error, grant_id: grantId }, 'a grant that nobody links could not be released')
    })
  }

  /** Makes the host, or refuses it; the refused grant is kept where any tenant links it. */
  async function link(
    { tenantId, importer }: { tenantId: string; importer: Importer },
    row: ImportRow,
    { id, grantId, consentEpoch }: Redeemed,
  ): Promise<Outcome> {
    try {
      await checkIdentity(grantId, row)
      const { externalUserId } = row
      const linked = await hosts.link(tenantId, { externalUserId, grantId, consentEpoch, onOtherZoomUser: 'refuse' })
      await store.linked(id, linked.hostId, importer)
      if (linked.replacedGrantId) await release(linked.replacedGrantId)
      const host = await hosts.byId(tenantId, linked.hostId)
      if (host?.status === 'reconnect_required') return rejected('reconnect_required')
      return { status: 'connected', hostId: linked.hostId }
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      if (error.code === 'host_blocked') return deferred(error.code)
      if (!REFUSALS.includes(error.code)) throw error
      await store.rejected(id, error.code) // first: until then the grant counts as about to be linked
      await release(grantId)
      return rejected(error.code)
    }
  }
  return link
}

/** A tenant goes: what its imports brought and never linked goes with it. */
export function createImportEnd({ store, vault }: Pick<ImportLinkDeps, 'vault'> & { store: ImportLinkDeps['store'] }) {
  return async function endImports(tenantId: string): Promise<void> {
    for (;;) {
      const redeemed = await store.redeemedOf(tenantId)
      if (redeemed.length === 0) return
      for (const { id, grantId } of redeemed) {
        await store.rejected(id, 'already_redeemed')
        await vault.releaseIfUnlinked(grantId, { revoke: true })
      }
    }
  }
}
