import { AppError, type ErrorCode } from '../../errors.ts'
import type { AdmittedGrant, GrantVault } from '../../grants/vault.ts'
import { sleep } from '../../lib/deadline.ts'
import { type ClientCredentials, claimsOf, type ZoomOAuth } from '../../zoom/oauth.ts'
import type { TokenSet } from '../../zoom/token-set.ts'
import type { MeOutcome, ZoomUsers } from '../../zoom/users.ts'
import type { ConnectStore, ConsumedFlow, OnOtherZoomUser } from './store.ts'

interface HostLink {
  externalUserId: string
  grantId: string
  consentEpoch: number
  onOtherZoomUser: OnOtherZoomUser
}
interface OrganizationLink {
  externalUserId: string
  grantId: string
  consentEpoch: number
  zoomAccountId: string
}

export interface CompletionDeps {
  store: Pick<ConnectStore, 'spendSession' | 'reviveSession'>
  zoomApps: { credentialsOf: (zoomAppId: string) => Promise<ClientCredentials | null> }
  vault: Pick<GrantVault, 'admit' | 'noteProfile' | 'releaseIfUnlinked' | 'withAccessToken'>
  hosts: {
    link: (tenantId: string, link: HostLink) => Promise<{ hostId: string; replacedGrantId: string | null }>
    byId: (tenantId: string, hostId: string) => Promise<{ status: string } | null>
  }
  organizations: {
    link: (
      tenantId: string,
      link: OrganizationLink,
    ) => Promise<{ organizationId: string; replacedGrantId: string | null }>
    byId: (tenantId: string, organizationId: string) => Promise<{ status: string } | null>
  }
  oauth: Pick<ZoomOAuth, 'exchangeCode' | 'revoke'>
  users: Pick<ZoomUsers, 'me'>
  log: { error: (fields: object, message: string) => void }
  monotonicNow: () => number
}

/** What is connected, and as whom the page names it: the e-mail address, or Zoom's user id where that cannot be read. */
export type Connected = { account: string } & (
  | { kind: 'host'; hostId: string }
  | { kind: 'organization'; organizationId: string }
)

interface Person {
  zoomUserId: string
  zoomAccountId: string
  profile: MeOutcome
}

export type Completion = ReturnType<typeof createCompletion>

/** `/users/me` decides who connects, and the old pair is dead already: it is asked patiently. */
const IDENTIFY_ATTEMPTS = 3
const IDENTIFY_PAUSE_MS = 500

const UNAVAILABLE: MeOutcome = { outcome: 'unavailable' }

/** Verdicts on this flow. Anything else (the store did not answer) says nothing about the grant, which is then left alone. */
const REFUSALS: readonly ErrorCode[] = [
  'email_mismatch',
  'email_unverifiable',
  'other_zoom_user',
  'already_connected',
  'zoom_unavailable',
  'connect_failed',
]

const isRefusal = (error: unknown): error is AppError => error instanceof AppError && REFUSALS.includes(error.code)
const zoomUnavailable = () => new AppError('zoom_unavailable', 'Zoom did not answer; try again in a few minutes.')

/** The second half of a flow: from the code to the linked host. The pair is stored before anything may refuse the flow. */
export function createCompletion(deps: CompletionDeps) {
  const { store, zoomApps, vault, hosts, organizations, oauth, users, log, monotonicNow } = deps

  /** @throws app_misconfigured, connect_failed, zoom_unavailable */
  async function exchange(app: ClientCredentials, redirectUri: string, proof: { code: string; codeVerifier: string }) {
    const exchanged = await oauth.exchangeCode({ ...app, redirectUri, ...proof })
    if (exchanged.outcome === 'granted') return exchanged.tokens
    if (exchanged.outcome === 'unavailable') throw zoomUnavailable()
    if (exchanged.outcome === 'app_fault') throw new AppError('app_misconfigured', 'Zoom refuses the Zoom app.')
    throw new AppError('connect_failed', 'Zoom did not accept the code.', { reason: 'code_refused' })
  }

  async function patiently(accessToken: string): Promise<MeOutcome> {
    let profile: MeOutcome = UNAVAILABLE
    for (let attempt = 1; attempt <= IDENTIFY_ATTEMPTS && profile.outcome === 'unavailable'; attempt++) {
      if (attempt > 1) await sleep(IDENTIFY_PAUSE_MS)
      profile = await users.me(accessToken)
    }
    return profile
  }

  /** For a token without claims: nothing can be stored until Zoom says whose it is. */
  async function identify(app: ClientCredentials, accessToken: string): Promise<Person> {
    const profile = await patiently(accessToken)
    if (profile.outcome === 'known') return { zoomUserId: profile.id, zoomAccountId: profile.accountId, profile }
    await oauth.revoke({ ...app, accessToken }) // best effort: nobody could ever use this pair
    if (profile.outcome === 'unavailable') throw zoomUnavailable()
    throw new AppError('connect_failed', 'Zoom does not say whose account this is.', { reason: 'unidentifiable' })
  }

  /** The new pair is the only living one from the exchange on: stored at once, whatever is decided about this flow. */
  async function admit(app: ClientCredentials, zoomAppId: string, tokens: TokenSet, requestedAtMs: number) {
    const claimed = claimsOf(tokens.accessToken)
    const identity = claimed ? { ...claimed, profile: null } : await identify(app, tokens.accessToken)
    const { zoomUserId, zoomAccountId } = identity
    const grant = await vault.admit({ zoomAppId, zoomUserId, zoomAccountId, tokens, requestedAtMs })
    const ask = () =>
      grant.isOutdated
        ? vault.withAccessToken(grant.grantId, patiently).catch(() => UNAVAILABLE)
        : patiently(tokens.accessToken)
    const profile = identity.profile ?? (await ask())
    return { grant, person: { zoomUserId, zoomAccountId, profile } }
  }

  /** Tokens say who consented, `/users/me` must not contradict them. */
  async function checkIdentity(grantId: string, { zoomUserId, profile }: Person): Promise<void> {
    if (profile.outcome === 'unavailable') throw zoomUnavailable() // claims stand in for 4711 alone (contract)
    if (profile.outcome !== 'known') return
    if (profile.id !== zoomUserId) {
      log.error({ grant_id: grantId }, 'a fresh access token and /users/me name different users')
      throw new AppError('connect_failed', 'Zoom’s answers contradict each other.', { reason: 'identity_mismatch' })
    }
    await vault.noteProfile(grantId, profile)
  }

  async function link(flow: ConsumedFlow, grant: AdmittedGrant, person: Person): Promise<Connected> {
    const { kind, tenantId, onOtherZoomUser } = flow
    const externalUserId = flow.externalUserId ?? person.zoomUserId
    const common = { externalUserId, grantId: grant.grantId, consentEpoch: grant.consentEpoch }
    const account = (person.profile.outcome === 'known' ? person.profile.email : null) ?? person.zoomUserId
    if (kind === 'organization') {
      const linked = await organizations.link(tenantId, { ...common, zoomAccountId: person.zoomAccountId })
      // not revoked at Zoom: whether that would end the app for the whole account, this admin's grant with it, is not documented
      await release(linked.replacedGrantId, { revoke: false })
      requireLiving(await organizations.byId(tenantId, linked.organizationId))
      return { kind, organizationId: linked.organizationId, account }
    }
    const linked = await hosts.link(tenantId, { ...common, onOtherZoomUser })
    await release(linked.replacedGrantId)
    requireLiving(await hosts.byId(tenantId, linked.hostId))
    return { kind, hostId: linked.hostId, account }
  }

  /** Spends the session for the one that comes first, and gives it back where the link is then refused. */
  async function linkOnce(flow: ConsumedFlow, grant: AdmittedGrant, person: Person): Promise<Connected> {
    const { tenantId, sessionId } = flow
    if (sessionId === null) return await link(flow, grant, person)
    if (!(await store.spendSession(tenantId, sessionId)))
      throw new AppError('connect_failed', 'This link was used a moment ago.', { reason: 'session_spent' })
    try {
      return await link(flow, grant, person)
    } catch (error) {
      await store.reviveSession(tenantId, sessionId)
      throw error
    }
  }

  /** Ends a grant that nobody links. Its own trouble changes nothing for this flow, which is decided; an operator must know. */
  async function release(grantId: string | null, { revoke } = { revoke: true }): Promise<void> {
    if (grantId === null) return
    await vault.releaseIfUnlinked(grantId, { revoke }).catch((error: unknown) => {
      log.error({ err: error, grant_id: grantId }, 'a grant that nobody links could not be released')
    })
  }

  return {
    /**
     * @throws email_mismatch, email_unverifiable, other_zoom_user, already_connected, zoom_unavailable, app_misconfigured,
     * connect_failed, store_unavailable
     */
    async complete(flow: ConsumedFlow, proof: { code: string; codeVerifier: string }): Promise<Connected> {
      const app = await zoomApps.credentialsOf(flow.zoomAppId)
      if (!app) throw new AppError('app_misconfigured', 'The Zoom app of this link has no usable secret.')
      const requestedAtMs = monotonicNow()
      const tokens = await exchange(app, flow.redirectUri, proof)
      const { grant, person } = await admit(app, flow.zoomAppId, tokens, requestedAtMs)
      try {
        await checkIdentity(grant.grantId, person)
        if (flow.expectedEmail !== null) checkEmail(flow.expectedEmail, person.profile)
        return await linkOnce(flow, grant, person)
      } catch (error) {
        if (isRefusal(error)) await release(grant.grantId)
        throw error
      }
    },
  }
}

/** Another flow of this Zoom user may have been refused, and its grant let go, just before this link was made. */
function requireLiving(linked: { status: string } | null): void {
  if (linked?.status === 'reconnect_required')
    throw new AppError('connect_failed', 'This connection was ended while it was made.', { reason: 'released' })
}

const normalized = (email: string) => email.trim().toLowerCase()

/** A check before the link is made, never a key. @throws email_mismatch, email_unverifiable, zoom_unavailable */
function checkEmail(expectedEmail: string, profile: MeOutcome): void {
  if (profile.outcome === 'unavailable') throw zoomUnavailable()
  if (profile.outcome === 'no_scope' || profile.email === null)
    throw new AppError('email_unverifiable', 'The Zoom app may not read the e-mail address.', { reason: 'unreadable' })
  if (normalized(profile.email) !== normalized(expectedEmail))
    throw new AppError('email_mismatch', 'The Zoom account has another e-mail address than the expected one.')
  if (!profile.emailVerified)
    throw new AppError('email_unverifiable', 'Zoom has not verified the e-mail address.', { reason: 'unverified' })
}
