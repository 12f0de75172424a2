import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { claimsOf, type RefreshOutcome as RefreshResult, type ZoomOAuth } from '../zoom/oauth.ts'
import type { TokenSet } from '../zoom/token-set.ts'
import { type AppBreaker, appMisconfigured } from './app-breaker.ts'
import type { GrantCipher } from './cipher.ts'
import type { LifeRules } from './life.ts'
import type { GrantStore, Lease, SealedPair } from './store.ts'
import { untilStored } from './until-stored.ts'

export type CountedOutcome = 'ok' | 'sibling_won' | 'ambiguous' | 'retryable' | 'rejected' | 'lost'

export interface ZoomAppCredentials {
  clientId: string
  /** New one first. */
  clientSecrets: string[]
}

export interface AttemptDeps {
  store: GrantStore
  cipher: GrantCipher
  oauth: Pick<ZoomOAuth, 'refresh' | 'revoke'>
  breaker: AppBreaker
  life: Pick<LifeRules, 'noteIssued'>
  log: FastifyBaseLogger
  countRefresh: (outcome: CountedOutcome) => void
  monotonicNow: () => number
}

export interface Attempt {
  grantId: string
  zoomAppId: string
  credentials: ZoomAppCredentials
  lease: Lease
  /** When the lease was asked for, on the monotonic clock. */
  acquiredAtMs: number
}

/** The access token of a pair that is stored. */
export interface FreshToken {
  accessToken: string
  gen: bigint
  lifeSeconds: number
}

// longer than any caller waits, on purpose: aborting a refresh creates the ambiguity it fears
const REFRESH_TIMEOUT_MS = 8000
const LEASE_MS = 45_000
const LEASE_MARGIN_MS = 5000
const REFRESH_TOKEN_LIFE_SECONDS = 90 * 86_400

// Zoom spent the refresh token and gave nothing to go on with: somebody must ask why
const ALARMING = ['no_usable_token_pair', 'another_user']

const unavailable = (reason: string) =>
  new AppError('zoom_unavailable', 'Zoom did not renew the access token; try again.', { reason, retryAfterSeconds: 5 })

/** What proves that Zoom took the app's credentials. A 429 or a 5xx may come before Zoom looks at them. */
const PROVES_APP = ['rotated', 'rejected', 'blocked']

/**
 * Whether the new access token is another user's than the refresh token it was given for. Both are Zoom's JWTs; where either
 * is opaque there is nothing to compare.
 */
function isOfAnotherUser(refreshToken: string, { accessToken }: TokenSet): boolean {
  const [before, after] = [claimsOf(refreshToken), claimsOf(accessToken)]
  return before !== null && after !== null && before.zoomUserId !== after.zoomUserId
}

/** Spends the refresh token under a lease, once, and brings what Zoom said into the database. */
export function createAttempt(deps: AttemptDeps) {
  const { store, cipher, oauth, breaker, life, log, countRefresh, monotonicNow } = deps

  /** PERSIST of rotation.md: by generation, and read back where the answer of the database is unclear. */
  async function persist(attempt: Attempt, tokens: TokenSet): Promise<FreshToken | null> {
    const { grantId, lease } = attempt
    const { accessToken, expiresInSeconds } = tokens
    const gen = lease.gen + 1n
    const sealed = await untilStored(log, grantId, () => cipher.sealPair(grantId, gen, tokens))
    const pair = { ...sealed, expiresInSeconds }
    const isStored = await untilStored(log, grantId, () => storePair(attempt, pair, tokens))
    return isStored ? { accessToken, gen, lifeSeconds: expiresInSeconds } : null
  }

  /** False where the generation has moved: what is stored counts, and is never overwritten. */
  async function storePair(attempt: Attempt, pair: SealedPair, tokens: TokenSet): Promise<boolean> {
    const { grantId, lease, credentials } = attempt
    if (await store.persist(grantId, lease, pair, tokens.scopes)) return true
    const row = await store.stored(grantId)
    // an earlier try's COMMIT may have succeeded although its answer was lost: the same ciphertext in the row proves it
    if (row?.refreshCt && pair.refreshCt.equals(row.refreshCt)) return true
    const isLetGo = !row || (row.status === 'disconnected' && !row.isKeptAtZoom)
    if (isLetGo) await oauth.revoke({ ...credentials, accessToken: tokens.accessToken })
    return false
  }

  async function rejected(attempt: Attempt, result: RefreshResult & { outcome: 'rejected' }): Promise<null> {
    const { grantId, lease } = attempt
    const isLost = lease.recovering && result.bare
    const isExpired = result.reason === 'invalid_grant' && lease.pairAgeSeconds > REFRESH_TOKEN_LIFE_SECONDS
    const clean = { superseded: 'superseded', user_removed: 'user_removed', scopes_changed: 'scopes_changed' } as const
    const named = result.reason in clean ? clean[result.reason as keyof typeof clean] : 'rejected_by_zoom'
    const reason = isLost ? 'rotation_lost' : isExpired ? 'expired' : named
    const outcome = isLost ? 'lost' : 'rejected'
    const isOurs = await untilStored(log, grantId, () => store.verdict(grantId, lease, reason, outcome))
    countRefresh(isOurs ? outcome : 'sibling_won')
    if (!isOurs) return null // somebody else moved on: what is stored counts, not what this answer says
    log.warn(
      { grant_id: grantId, reason, pair_age_seconds: Math.round(lease.pairAgeSeconds) },
      'a grant must reconnect',
    )
    throw new AppError('reconnect_required', 'The host must connect Zoom again.', { reason })
  }

  async function paused(attempt: Attempt, seconds: number, error: AppError): Promise<never> {
    countRefresh('retryable')
    const pause = seconds > 0 ? { seconds, code: error.code } : null
    await store.release(attempt.grantId, attempt.lease, pause)
    throw error
  }

  async function appFault(attempt: Attempt): Promise<never> {
    if (breaker.trip(attempt.zoomAppId))
      log.error({ zoom_app_id: attempt.zoomAppId }, 'Zoom refuses this Zoom app: check its client id and secret')
    return await paused(attempt, 0, appMisconfigured())
  }

  /** Intent and lease stay as they are; whoever comes after the lease finds out. */
  async function ambiguous({ grantId, lease }: Attempt, why: string): Promise<never> {
    countRefresh('ambiguous')
    const fields = { grant_id: grantId, why }
    if (ALARMING.includes(why)) log.error(fields, 'Zoom answered a refresh with a pair that cannot be used')
    else log.warn(fields, 'the outcome of a refresh is unknown; a later attempt settles it')
    await store.noteAmbiguous(grantId, lease)
    throw why === 'timeout' ? timedOut() : unavailable('ambiguous')
  }

  async function rotated(attempt: Attempt, tokens: TokenSet): Promise<FreshToken | null> {
    life.noteIssued(tokens.expiresInSeconds)
    const fresh = await persist(attempt, tokens)
    countRefresh(fresh ? 'ok' : 'sibling_won')
    return fresh
  }

  /** Every answer of the token endpoint and what it does to the row (rotation.md 3.1). Null: read the row again. */
  async function settle(attempt: Attempt, result: RefreshResult): Promise<FreshToken | null> {
    const { grantId, lease, zoomAppId } = attempt
    if (PROVES_APP.includes(result.outcome) && breaker.recover(zoomAppId))
      log.info({ zoom_app_id: zoomAppId }, 'Zoom answers this Zoom app again')
    switch (result.outcome) {
      case 'rotated':
        return await rotated(attempt, result.tokens)
      case 'rejected':
        return await rejected(attempt, result)
      case 'app_fault':
        return await appFault(attempt)
      case 'blocked':
        await store.block(grantId, 'admin_disabled')
        return await paused(attempt, 0, hostBlocked('admin_disabled'))
      case 'rate_limited':
        return await paused(attempt, result.retryAfterSeconds, rateLimited(result.retryAfterSeconds))
      case 'not_sent':
        return await paused(attempt, 0, unavailable('not_sent'))
      case 'refused':
        log.error({ grant_id: grantId, status: result.status }, 'Zoom refused a refresh in a way we do not know')
        return await paused(attempt, 5, unavailable('refused'))
      case 'server_error':
        countRefresh('retryable')
        await store.shortenLease(grantId, lease)
        throw unavailable('server_error')
      case 'ambiguous':
        return await ambiguous(attempt, result.why)
    }
  }

  /** Gives the lease back where nothing was sent under it. */
  async function unused({ grantId, lease }: Attempt): Promise<null> {
    await store.release(grantId, lease, null)
    return null
  }

  /**
   * One attempt under a lease just taken. Null where the row must be read again.
   * @throws reconnect_required, host_blocked, app_misconfigured, zoom_rate_limited, zoom_unavailable, zoom_timeout
   */
  return async function run(attempt: Attempt): Promise<FreshToken | null> {
    const { grantId, lease, credentials, acquiredAtMs } = attempt
    const refreshToken = await cipher.openRefreshToken(grantId, lease.gen, lease.refreshCt).catch(async (error) => {
      await unused(attempt) // or the next attempt would take this one for sent
      throw error
    })
    for (const isLast of [false, true]) {
      // a process that slept since it asked for the lease may no longer hold it: then nothing is sent
      if (monotonicNow() - acquiredAtMs > LEASE_MS - REFRESH_TIMEOUT_MS - LEASE_MARGIN_MS) return await unused(attempt)
      const result = await oauth.refresh({ ...credentials, refreshToken, timeoutMs: REFRESH_TIMEOUT_MS })
      if (result.outcome === 'not_sent' && !isLast) continue
      const isForeign = result.outcome === 'rotated' && isOfAnotherUser(refreshToken, result.tokens)
      return await (isForeign ? ambiguous(attempt, 'another_user') : settle(attempt, result))
    }
    return null
  }
}

export const hostBlocked = (reason: string) =>
  new AppError('host_blocked', 'Zoom has blocked this user or this app for them; ask their Zoom admin.', { reason })
export const rateLimited = (retryAfterSeconds: number) =>
  new AppError('zoom_rate_limited', 'Zoom limits our requests; try again later.', { retryAfterSeconds })
const timedOut = () =>
  new AppError('zoom_timeout', 'Zoom did not answer in time; try again.', { reason: 'refresh', retryAfterSeconds: 5 })
