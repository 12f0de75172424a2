import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { SealError } from '../lib/sealing.ts'
import { claimsOf, type RefreshOutcome as RefreshResult, type ZoomOAuth } from '../zoom/oauth.ts'
import type { TokenSet } from '../zoom/token-set.ts'
import { createAnswers } from './answers.ts'
import { appMisconfigured } from './app-breaker.ts'
import type { AppPauses } from './app-pauses.ts'
import type { Breakers } from './breakers.ts'
import type { GrantCipher } from './cipher.ts'
import type { LifeRules } from './life.ts'
import type { Lineage } from './lineage.ts'
import { isoTime, REFRESHED } from './log-lines.ts'
import type { CountedOutcome, GrantMetrics } from './metrics.ts'
import type { RestoreGuard } from './restore-guard.ts'
import type { GrantStore, Lease, SealedPair, StoredPair } from './store.ts'
import { untilStored } from './until-stored.ts'
import type { Watermarks } from './watermarks.ts'

type StoredAt = Pick<StoredPair, 'storedAtSeconds'>
type Rejected = RefreshResult & { outcome: 'rejected' }

export interface ZoomAppCredentials {
  clientId: string
  /** New one first. */
  clientSecrets: string[]
}

export interface AttemptDeps {
  store: GrantStore
  cipher: GrantCipher
  oauth: Pick<ZoomOAuth, 'refresh' | 'revoke'>
  breakers: Breakers
  appPauses: AppPauses
  life: Pick<LifeRules, 'noteIssued'>
  watermarks: Watermarks
  restoreGuard: RestoreGuard
  lineage: Pick<Lineage, 'isEarlier'>
  log: FastifyBaseLogger
  metrics: GrantMetrics
  monotonicNow: () => number
}

export interface Attempt {
  /** Of its row in `refresh_attempts`. */
  id: string
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
  /** Seconds since 1970 by the database's clock. */
  expiresAtSeconds: number
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

/** Reasons of Zoom's that are also ours; any other is a refusal without a cause. */
const NAMED = ['superseded', 'user_removed', 'scopes_changed']

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
  const { store, cipher, oauth, life, watermarks, restoreGuard, lineage, log, metrics } = deps
  const { monotonicNow } = deps
  const answers = createAnswers(deps)

  /** One line and one count for every attempt: with `outcome` ok, the only record outside the database of what was spent. */
  function report({ id, grantId, lease, acquiredAtMs }: Attempt, outcome: CountedOutcome, stored?: StoredAt): void {
    const durationMs = Math.round(monotonicNow() - acquiredAtMs)
    metrics.countRefresh(outcome, durationMs)
    const storedAt = stored ? { stored_at: isoTime(stored.storedAtSeconds) } : {}
    const fields = { grant_id: grantId, attempt_id: id, gen: Number(lease.gen), outcome, duration_ms: durationMs }
    log.info({ ...fields, ...storedAt }, REFRESHED)
  }

  /** Stores by generation (PERSIST), and read back where the answer of the database is unclear. */
  async function persist(attempt: Attempt, tokens: TokenSet): Promise<(FreshToken & StoredAt) | null> {
    const { grantId, lease } = attempt
    const { accessToken, expiresInSeconds } = tokens
    const gen = lease.gen + 1n
    const sealed = await untilStored(log, grantId, () => cipher.sealPair(grantId, gen, tokens))
    const pair = { ...sealed, expiresInSeconds }
    const stored = await untilStored(log, grantId, () => storePair(attempt, pair, tokens))
    if (!stored) return null
    const { storedAtSeconds } = stored
    watermarks.note(grantId, { gen, storedAtSeconds })
    watermarks.keep(grantId, gen, pair, stored)
    const expiresAtSeconds = storedAtSeconds + expiresInSeconds
    return { accessToken, gen, lifeSeconds: expiresInSeconds, expiresAtSeconds, storedAtSeconds }
  }

  /** Null where the generation has moved: what is stored counts, and is never overwritten. */
  async function storePair(attempt: Attempt, pair: SealedPair, tokens: TokenSet): Promise<StoredPair | null> {
    const { grantId, lease, credentials } = attempt
    const stored = await store.persist(grantId, lease, pair, tokens.scopes)
    if (stored) return stored
    const row = await store.stored(grantId)
    // an earlier try's COMMIT may have succeeded although its answer was lost: the same ciphertext in the row proves it
    if (row?.refreshCt && pair.refreshCt.equals(row.refreshCt)) return row
    if (row && row.status !== 'disconnected' && row.gen < lease.gen && watermarks.seenBeyond(grantId, row) !== null) {
      // the database went backwards under us: what it holds is older than what we spent
      const { consentEpoch, consentReason } = row
      await restoreGuard.heal(grantId, row.gen, lease.gen + 1n, { ...pair, consentEpoch, consentReason })
      return await storePair(attempt, pair, tokens) // finds its own ciphertext, or what was faster
    }
    const isLetGo = !row || (row.status === 'disconnected' && !row.isKeptAtZoom)
    if (isLetGo) await oauth.revoke({ ...credentials, accessToken: tokens.accessToken })
    return null
  }

  /** Why Zoom takes this refresh token no more. A bare refusal is what a rotation that was lost on our way also looks like. */
  async function reasonOf({ grantId, lease }: Attempt, { reason, bare }: Rejected): Promise<string> {
    if (bare && (lease.recovering || lease.hadTwin)) return 'rotation_lost'
    if (reason === 'invalid_grant' && lease.pairAgeSeconds > REFRESH_TOKEN_LIFE_SECONDS) return 'expired'
    if (bare && (await untilStored(log, grantId, () => lineage.isEarlier(grantId), 'verdict'))) return 'restored_backup'
    return NAMED.includes(reason) ? reason : 'rejected_by_zoom'
  }

  async function rejected(attempt: Attempt, result: Rejected): Promise<null> {
    const { grantId, lease } = attempt
    const reason = await reasonOf(attempt, result)
    const outcome = reason === 'rotation_lost' ? 'lost' : 'rejected'
    const isOurs = await untilStored(log, grantId, () => store.verdict(grantId, lease, reason, outcome), 'verdict')
    report(attempt, isOurs ? outcome : 'sibling_won')
    if (!isOurs) return null // somebody else moved on: what is stored counts, not what this answer says
    metrics.countDeath(reason, lease.pairAgeSeconds)
    const fields = { grant_id: grantId, reason, pair_age_seconds: Math.round(lease.pairAgeSeconds) }
    log.warn(fields, 'a grant must reconnect')
    throw new AppError('reconnect_required', 'The host must connect Zoom again.', { reason })
  }

  async function paused(attempt: Attempt, seconds: number, error: AppError): Promise<never> {
    report(attempt, 'retryable')
    const pause = seconds > 0 ? { seconds, code: error.code } : null
    await store.release(attempt.grantId, attempt.lease, pause)
    throw error
  }

  async function appFault(attempt: Attempt): Promise<never> {
    answers.noteAppFault(attempt.zoomAppId)
    return await paused(attempt, 0, appMisconfigured())
  }

  /** Intent and lease stay as they are; whoever comes after the lease finds out. */
  async function ambiguous(attempt: Attempt, why: string): Promise<never> {
    report(attempt, 'ambiguous')
    const fields = { grant_id: attempt.grantId, why }
    if (ALARMING.includes(why)) log.error(fields, 'Zoom answered a refresh with a pair that cannot be used')
    else log.warn(fields, 'the outcome of a refresh is unknown; a later attempt settles it')
    await store.noteAmbiguous(attempt.grantId, attempt.lease)
    throw why === 'timeout' ? timedOut() : unavailable('ambiguous')
  }

  async function rotated(attempt: Attempt, tokens: TokenSet): Promise<FreshToken | null> {
    life.noteIssued(tokens.expiresInSeconds)
    const fresh = await persist(attempt, tokens)
    if (fresh) report(attempt, 'ok', fresh)
    else report(attempt, 'sibling_won')
    return fresh
  }

  /** Every answer of the token endpoint and what it does to the row. Null: read the row again. */
  async function settle(attempt: Attempt, result: RefreshResult): Promise<FreshToken | null> {
    const { grantId, lease } = attempt
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
        report(attempt, 'retryable')
        await store.shortenLease(grantId, lease)
        throw unavailable('server_error')
      case 'ambiguous':
        return await ambiguous(attempt, result.why)
    }
  }

  /**
   * Opens a reserved connection and the data key before Zoom is asked: between its answer and the write that must not be lost
   * there is then as little as can be. A database that does not answer is not ours to judge: the write is repeated in any
   * case. @throws SealError where no pair could be sealed: then none may be asked for
   */
  const prepareToStore = (grantId: string) =>
    Promise.all([store.stored(grantId), cipher.prepare(grantId)]).catch((error: unknown) => {
      if (error instanceof SealError) throw error
    })

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
    const giveBack = async (error: unknown): Promise<never> => {
      await unused(attempt) // or the next attempt would take this one for sent
      throw error
    }
    const refreshToken = await cipher.openRefreshToken(grantId, lease.gen, lease.refreshCt).catch(giveBack)
    await prepareToStore(grantId).catch(giveBack)
    for (const isLast of [false, true]) {
      // a process that slept since it asked for the lease may no longer hold it: then nothing is sent
      if (monotonicNow() - acquiredAtMs > LEASE_MS - REFRESH_TIMEOUT_MS - LEASE_MARGIN_MS) return await unused(attempt)
      const result = await oauth.refresh({ ...credentials, refreshToken, timeoutMs: REFRESH_TIMEOUT_MS })
      if (result.outcome === 'not_sent' && !isLast) continue
      answers.note({ id: grantId, zoomAppId: attempt.zoomAppId }, result.outcome)
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
