import { AppError, foreignDatabase } from '../../errors.ts'
import { createDeadline, jitter, sleep, withDeadline } from '../../lib/deadline.ts'
import { sha256 } from '../../lib/ids.ts'
import { createSemaphore } from '../../lib/semaphore.ts'
import { claimsOf } from '../../zoom/oauth.ts'
import type { ImportLink } from './import-link.ts'
import { deferred, type ImportResult, type ImportRow, type Outcome, rejected } from './import-outcome.ts'
import { type Claim, type ImportedToken, type Importer, type ImportStore, LEASE_SECONDS } from './import-store.ts'
import type { Host } from './store.ts'

type Redemption =
  | { outcome: 'stored'; grantId: string; consentEpoch: number }
  | { outcome: 'rejected'; code: string }
  | { outcome: 'unspent'; code: string; retryAfterSeconds: number }
  | { outcome: 'blocked' }
  | { outcome: 'unknown'; code: string; wasAnswered: boolean }

interface Presented {
  zoomAppId: string
  refreshToken: string
  claimId: string
  isRecovery: boolean
  sendBeforeMs: number
  onStored: (stored: { grantId: string; consentEpoch: number }) => Promise<void>
}

export interface ImportDeps {
  store: ImportStore
  hosts: {
    byExternalUserId: (tenantId: string, externalUserId: string) => Promise<Host | null>
    byGrant: (tenantId: string, grantId: string) => Promise<Host | null>
  }
  /** The tenant's own Zoom app of kind `user`, else the shared one. */
  appOf: (tenantId: string) => Promise<{ zoomAppId: string } | null>
  redeemer: {
    redeem: (presented: Presented) => Promise<Redemption>
    ofUser: (
      zoomAppId: string,
      zoomUserId: string,
    ) => Promise<{ grantId: string; isConnected: boolean; storedAtSeconds: number } | null>
  }
  link: ImportLink
  isForeignDatabase: () => boolean
  log: { error: (fields: object, message: string) => void }
  monotonicNow: () => number
}

interface Scope {
  tenantId: string
  zoomAppId: string
  importer: Importer
}

export interface Preview {
  /** `known`: imported before, or connected with a later token. */
  state: 'new' | 'known' | 'refused'
  code?: string | undefined
}

export type ImportService = ReturnType<typeof createImportService>

/** Of this process: Zoom's token endpoint limits requests per app, and refreshes of hosts that are live go first. */
const AT_ONCE = 8
const MOST_WAITING = 2000
const DEADLINE_MS = 20_000
/** A refresh's own deadline and a margin must fit into what is left of the claim. */
const SEND_WITHIN_MS = (LEASE_SECONDS - 8 - 5) * 1000
/** After a 5xx: Zoom may have taken the token, and no request is on its way any more. */
const RECOVER_AFTER_SECONDS = 5
/** Zoom's clock stamps tokens, the database's stamps pairs. */
const CLOCK_SKEW_SECONDS = 60

/** Of two rows of one user, or of one token, only the first counts; twins share its outcome. */
function duplicatesIn(rows: ImportRow[]): (number | 'duplicate' | null)[] {
  const users = new Map<string, number>()
  const tokens = new Map<string, number>()
  return rows.map(({ externalUserId, refreshToken }, index) => {
    const [user, token] = [users.get(externalUserId), tokens.get(refreshToken)]
    if (user === undefined && token === undefined) {
      users.set(externalUserId, index)
      tokens.set(refreshToken, index)
      return null
    }
    return user === token && user !== undefined ? user : 'duplicate'
  })
}

/** Hosts that come from another system with their refresh tokens. Each token is redeemed once, whatever becomes of the call. */
export function createImportService(deps: ImportDeps) {
  const { store, hosts, appOf, redeemer, link, isForeignDatabase, log, monotonicNow } = deps
  const semaphore = createSemaphore(AT_ONCE, MOST_WAITING)

  /**
   * What can be refused, or answered, with the token unspent. Its claims are only what somebody says: they may refuse, they never connect.
   */
  async function known(scope: Scope, { externalUserId, refreshToken }: ImportRow): Promise<Outcome | null> {
    const claims = claimsOf(refreshToken)
    if (!claims) return null
    const { zoomUserId, issuedAtSeconds } = claims
    const host = await hosts.byExternalUserId(scope.tenantId, externalUserId)
    if (host?.zoomUserId && host.zoomUserId !== zoomUserId) return rejected('other_zoom_user')
    const grant = await redeemer.ofUser(scope.zoomAppId, zoomUserId)
    if (!grant) return null
    const holder = await hosts.byGrant(scope.tenantId, grant.grantId)
    if (holder && holder.externalUserId !== externalUserId) return rejected('already_connected')
    // Zoom gave us a later pair of this user, so this one is dead; to present it could end the living one with it
    const isOlder = issuedAtSeconds !== null && grant.storedAtSeconds > issuedAtSeconds + CLOCK_SKEW_SECONDS
    if (!grant.isConnected || !isOlder) return null
    return holder?.status === 'connected' ? { status: 'connected', hostId: holder.id } : rejected('rejected_by_zoom')
  }

  async function settle(scope: Scope, row: ImportRow, claim: Claim, redemption: Redemption): Promise<Outcome> {
    switch (redemption.outcome) {
      case 'stored':
        return await link(scope, row, { id: claim.id, ...redemption })
      case 'rejected':
        await store.rejected(claim.id, redemption.code)
        return rejected(redemption.code)
      case 'blocked':
        await store.release(claim)
        return rejected('host_blocked')
      case 'unspent':
        await store.release(claim)
        return deferred(redemption.code, redemption.retryAfterSeconds)
      case 'unknown':
        if (redemption.wasAnswered) await store.shorten(claim, RECOVER_AFTER_SECONDS)
        return deferred(redemption.code, redemption.wasAnswered ? RECOVER_AFTER_SECONDS : LEASE_SECONDS)
    }
  }

  async function redeem(scope: Scope, row: ImportRow, tokenHash: Buffer): Promise<Outcome | null> {
    const claimedAtMs = monotonicNow()
    const claim = await store.claim(scope.tenantId, scope.zoomAppId, tokenHash)
    if (!claim) return null
    const redemption = await redeemer.redeem({
      zoomAppId: scope.zoomAppId,
      refreshToken: row.refreshToken,
      claimId: claim.id,
      isRecovery: claim.isRecovery,
      sendBeforeMs: claimedAtMs + SEND_WITHIN_MS,
      onStored: (grant) => store.redeemed(claim.id, grant),
    })
    return await settle(scope, row, claim, redemption)
  }

  /** The answer to a token that was imported before; null where it is to be presented, again or for the first time. */
  async function repeated(scope: Scope, row: ImportRow, token: ImportedToken): Promise<Outcome | null> {
    // another tenant's: as Zoom would answer for a token that is spent
    if (token.tenantId !== scope.tenantId) return rejected('rejected_by_zoom')
    if (token.state === 'rejected') return rejected(token.code ?? 'rejected_by_zoom')
    if (token.state === 'claimed')
      return token.leaseLeftSeconds > 0 ? deferred('busy', Math.ceil(token.leaseLeftSeconds)) : null
    const grantId = token.grantId ?? ''
    if (token.state === 'redeemed') return await link(scope, row, { ...token, grantId })
    const host = await hosts.byGrant(scope.tenantId, grantId)
    if (!host) return rejected('already_redeemed')
    if (host.externalUserId !== row.externalUserId) return rejected('already_connected')
    return host.status === 'reconnect_required'
      ? rejected('reconnect_required')
      : { status: 'connected', hostId: host.id }
  }

  async function importOne(scope: Scope, row: ImportRow): Promise<Outcome> {
    const tokenHash = sha256(row.refreshToken)
    const before = await store.resolve(scope.zoomAppId, tokenHash)
    const answer = before ? await repeated(scope, row, before) : await known(scope, row)
    // as long as Zoom would take to refuse it: a token that was made up must not tell who is connected through another tenant
    if (answer?.code === 'rejected_by_zoom') await sleep(jitter(100, 400))
    if (answer) return answer
    const outcome = await redeem(scope, row, tokenHash)
    if (outcome) return outcome
    // claimed by another call just now
    const now = await store.resolve(scope.zoomAppId, tokenHash)
    return (now && (await repeated(scope, row, now))) ?? deferred('busy')
  }

  /** A fault of one row says nothing of the others. */
  async function safely(scope: Scope, row: ImportRow): Promise<Outcome> {
    try {
      return await importOne(scope, row)
    } catch (error) {
      if (error instanceof AppError && error.rendering.retryable) return deferred(error.code, error.retryAfterSeconds)
      log.error({ err: error }, 'a host could not be imported')
      return deferred('internal_error')
    }
  }

  async function scopeOf(tenantId: string, importer: Importer): Promise<Scope> {
    const app = await appOf(tenantId)
    if (!app) throw new AppError('app_not_configured', 'No Zoom app of kind user is configured for this tenant.')
    return { tenantId, zoomAppId: app.zoomAppId, importer }
  }

  return {
    /**
     * Answers in the order of the rows within about 20 s. What was not reached by then is deferred; what was begun goes on, and a
     * repeated call tells of it. @throws app_not_configured, foreign_database, store_unavailable
     */
    async importHosts(tenantId: string, rows: ImportRow[], importer: Importer): Promise<ImportResult[]> {
      if (isForeignDatabase()) throw foreignDatabase()
      const scope = await scopeOf(tenantId, importer)
      const deadline = createDeadline(DEADLINE_MS, monotonicNow)
      const late = () => new AppError('zoom_timeout', 'Zoom did not answer in time; try again.')
      const first = (row: ImportRow): Promise<Outcome> => {
        const turn = semaphore.run(
          () => (deadline.expired ? Promise.resolve(deferred('busy')) : safely(scope, row)),
          deadline.remainingMs(),
        )
        return withDeadline(turn, deadline.remainingMs() + 50, late).catch((error: AppError) => deferred(error.code))
      }
      const doubles = duplicatesIn(rows)
      const firsts = rows.map((row, index) => (doubles[index] === null ? first(row) : null))
      return await Promise.all(
        rows.map(async (row, index) => {
          const double = doubles[index]
          const outcome = typeof double === 'number' ? await firsts[double] : await firsts[index]
          return { externalUserId: row.externalUserId, ...(outcome ?? rejected('duplicate')) }
        }),
      )
    },
    /** What an import would begin with, without a word to Zoom. @throws app_not_configured, store_unavailable */
    async preview(tenantId: string, rows: ImportRow[]): Promise<Preview[]> {
      const scope = await scopeOf(tenantId, { actor: 'nobody', requestId: null })
      const found: Preview[] = []
      for (const row of rows) {
        const token = await store.resolve(scope.zoomAppId, sha256(row.refreshToken))
        const isSettled = token && token.tenantId === tenantId && token.state !== 'rejected'
        const outcome = token ? rejected(token.code ?? 'rejected_by_zoom') : await known(scope, row)
        if (isSettled || outcome?.status === 'connected') found.push({ state: 'known' })
        else found.push(outcome ? { state: 'refused', code: outcome.code } : { state: 'new' })
      }
      return found
    },
    /** Deletes what is told of tokens that are too old for Zoom. */
    purgeAcrossTenants: () => store.purgeAcrossTenants(),
  }
}
