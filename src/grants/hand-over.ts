import type { FastifyBaseLogger } from 'fastify'
import { AppError, foreignDatabase } from '../errors.ts'
import { jitter, sleep, withDeadline } from '../lib/deadline.ts'
import { uuidv7 } from '../lib/ids.ts'
import type { GrantCipher } from './cipher.ts'
import type { Forgetting, HandOverState, HandOverStore } from './hand-over-store.ts'
import type { Lineage } from './lineage.ts'
import type { Refresher } from './refresh.ts'
import type { RestoreGuard } from './restore-guard.ts'
import type { GrantStore } from './store.ts'

/** A pair that Latchkey no longer has: whoever gets it now is its one keeper. */
export interface HandedOver {
  refreshToken: string
  accessToken: string
  /** Of the access token; may be past. */
  expiresAt: Date
}

/** Who asks, and how the answer is kept in the commit that forgets the pair. */
export interface HandOverOrder {
  actor: string
  requestId: string
  /** Seals the answer for the request's Idempotency-Key; null without one. */
  sealAnswer: (pair: HandedOver) => Promise<Forgetting['answer']>
}

export interface HandOverDeps {
  handOverStore: HandOverStore
  store: Pick<GrantStore, 'read' | 'markStale'>
  cipher: Pick<GrantCipher, 'openRefreshToken' | 'openAccessToken'>
  /** What this process remembers of a grant whose tokens are erased. */
  forgetMemory: (grantId: string) => void
  refresher: Pick<Refresher, 'run'>
  restoreGuard: Pick<RestoreGuard, 'examine'>
  lineage: Pick<Lineage, 'isEarlier'>
  isForeign: () => boolean
  log: FastifyBaseLogger
  monotonicNow: () => number
}

/** A pair that is being given out, and the audit line by which it is known whether that was committed. */
interface Offer {
  auditId: string
  made: { pair: HandedOver; grantId: string } | null
}

// what a caller waits for a refresh in flight; well within the 60 s after which an Idempotency-Key counts as abandoned
const WAIT_MS = 15_000
// longer, where the pair may be in nobody's hands but this request's
const UNSURE_WAIT_MS = 40_000

const unknownHost = () => new AppError('not_found', 'No such host.')
const isShared = () =>
  new AppError('grant_shared', 'Another host or organization uses this grant; it cannot be given out here.')
const busy = (retryAfterSeconds: number) =>
  new AppError('busy', 'The grant is being renewed or connected right now; try again.', { retryAfterSeconds })

/** @throws grant_shared, reconnect_required, host_not_connected */
function refuse({ status, statusReason, isConsentOld, consentReason, ...state }: HandOverState): void {
  if (state.isShared) throw isShared()
  if (status === 'disconnected') throw new AppError('host_not_connected', 'The host’s grant holds no tokens any more.')
  if (status === 'connected' && !isConsentOld) return
  const reason = (isConsentOld ? consentReason : statusReason) ?? 'rejected_by_zoom'
  throw new AppError('reconnect_required', 'The host’s tokens are dead, there is nothing to hand over.', { reason })
}

/** Gives a pair out, once, and forgets it: the one way by which a refresh token leaves this folder. */
export function createHandOver(deps: HandOverDeps) {
  const { handOverStore, store, cipher, forgetMemory, refresher, restoreGuard, lineage, isForeign, log, monotonicNow } =
    deps

  /** A pair whose last use is unknown, or that was stored before a restore, may be dead: Zoom is asked, as for any mint. */
  async function isDoubtful({ grantId, isIntentOpen }: HandOverState): Promise<boolean> {
    return isIntentOpen || (await lineage.isEarlier(grantId))
  }

  async function prove({ grantId, gen }: HandOverState, endMs: number): Promise<void> {
    await store.markStale(grantId, gen)
    await withDeadline(refresher.run(grantId), Math.max(0, endMs - monotonicNow()), () => busy(5))
  }

  async function open({ grantId, gen, refreshCt, accessCt, accessExpiresAt }: HandOverState): Promise<HandedOver> {
    if (!refreshCt || !accessCt || !accessExpiresAt) throw new Error('a connected grant has no pair')
    const refreshToken = await cipher.openRefreshToken(grantId, gen, refreshCt)
    return {
      refreshToken,
      accessToken: await cipher.openAccessToken(grantId, gen, accessCt),
      expiresAt: accessExpiresAt,
    }
  }

  /** True where the row was dealt with and must be read again: the database has gone backwards. */
  async function wasPutBack(grantId: string): Promise<boolean> {
    const row = await store.read(grantId)
    return row !== null && (await restoreGuard.examine(grantId, row))
  }

  /** True once nothing is under way and the pair is known to live; false where something was waited for or done: look again. */
  async function isSettled(state: HandOverState, endMs: number): Promise<boolean> {
    const { grantId, leaseLeftSeconds, isConnecting } = state
    if (leaseLeftSeconds > 0 || isConnecting) {
      if (monotonicNow() > endMs) throw busy(Math.max(1, Math.ceil(leaseLeftSeconds)))
      await sleep(jitter(100, 400))
      return false
    }
    if (await wasPutBack(grantId)) return false
    if (!(await isDoubtful(state))) return true
    await prove(state, endMs)
    return false
  }

  /** One look, and where all is quiet one try. Null: look again. */
  async function attempt(tenantId: string, hostId: string, order: HandOverOrder, offer: Offer, endMs: number) {
    if (isForeign()) throw foreignDatabase()
    if (offer.made && (await handOverStore.isDone(tenantId, offer.auditId))) return offer.made
    const state = await handOverStore.state(tenantId, hostId)
    if (!state) throw unknownHost()
    refuse(state)
    if (!(await isSettled(state, endMs))) return null
    const { grantId, gen, zoomAppId } = state
    const pair = await open(state)
    const details = { grant_id: grantId, zoom_app_id: zoomAppId, gen: Number(gen) }
    const answer = await order.sealAnswer(pair)
    offer.made = { pair, grantId }
    const { actor, requestId } = order
    const row = { tenantId, hostId, grantId, gen, auditId: offer.auditId, actor, requestId, details, answer }
    if (await handOverStore.forget(row)) return offer.made
    offer.made = null
    return null
  }

  /**
   * What an error leaves to do while an offer may have been committed all the same, and its pair is then in nobody's hands but
   * ours: null to look again. @throws the error where nothing is open
   */
  async function afterError(error: unknown, tenantId: string, { made, auditId }: Offer, limitMs: number) {
    if (!made || !(error instanceof AppError)) throw error
    if (error.code === 'store_unavailable') {
      if (monotonicNow() > limitMs) throw error
      await sleep(jitter(100, 400))
      return null
    }
    if (await handOverStore.isDone(tenantId, auditId)) return made
    throw error
  }

  /**
   * Opens the pair of the tenant's host first, then forgets grant and host by compare-and-set on its generation, without
   * revoking. A refresh in flight is waited for; a refresh whose outcome is unknown is settled by one more. Nothing that fails
   * or dies on the way loses the pair: until the commit it is here, after it in the answer, which an Idempotency-Key keeps.
   * @throws not_found, grant_shared, reconnect_required, host_not_connected, busy, foreign_database, store_unavailable, and
   * what a refresh throws
   */
  return async function handOver(tenantId: string, hostId: string, order: HandOverOrder): Promise<HandedOver> {
    const startMs = monotonicNow()
    const endMs = startMs + WAIT_MS
    const offer: Offer = { auditId: uuidv7(), made: null }
    for (;;) {
      const given = await attempt(tenantId, hostId, order, offer, endMs).catch((error: unknown) =>
        afterError(error, tenantId, offer, startMs + UNSURE_WAIT_MS),
      )
      if (given) {
        forgetMemory(given.grantId)
        log.info({ grant_id: given.grantId, host_id: hostId }, 'a host was released')
        return given.pair
      }
      if (!offer.made && monotonicNow() > endMs + WAIT_MS) throw busy(1)
    }
  }
}
