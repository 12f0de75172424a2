import { AppError, foreignDatabase } from '../errors.ts'
import { jitter, sleep } from '../lib/deadline.ts'
import { uuidv7 } from '../lib/ids.ts'
import { createSingleFlight } from '../lib/single-flight.ts'
import {
  type Attempt,
  type AttemptDeps,
  createAttempt,
  type FreshToken,
  hostBlocked,
  rateLimited,
  type ZoomAppCredentials,
} from './attempt.ts'
import type { LifeRules } from './life.ts'
import type { GrantRow } from './store.ts'

// contract: past this, the next caller is told to come again instead of queueing
const MAX_WAITERS = 2000
const FLIGHT_LIMIT_MS = 20_000

export interface RefreshDeps extends AttemptDeps {
  life: LifeRules
  credentialsOf: (zoomAppId: string) => Promise<ZoomAppCredentials | null>
  /** This process's name in the lease. */
  owner: string
  /** The database was first used by another installation: nothing may be spent. */
  isForeign: () => boolean
}

const reconnectRequired = (reason: string | null) =>
  new AppError('reconnect_required', 'The host must connect Zoom again.', { reason: reason ?? 'rejected_by_zoom' })
const disconnected = () => new AppError('host_not_connected', 'No host is connected here any more.')
const waitedTooLong = () =>
  new AppError('zoom_timeout', 'The access token was not renewed in time; try again.', { retryAfterSeconds: 5 })

/** A pause that a refused attempt left on the row, for every replica to see. */
function pausedError({ leaseOwner, leaseLeftSeconds }: GrantRow): AppError | null {
  const seconds = Math.max(1, Math.ceil(leaseLeftSeconds))
  if (leaseOwner === 'pause:zoom_rate_limited') return rateLimited(seconds)
  if (leaseOwner !== 'pause:zoom_unavailable') return null
  return new AppError('zoom_unavailable', 'Zoom did not renew the access token; try again.', {
    reason: 'paused',
    retryAfterSeconds: seconds,
  })
}

export type Refresher = ReturnType<typeof createRefresher>

/** Gets a living access token: from the row where it lives, else by one refresh over all replicas. */
export function createRefresher(deps: RefreshDeps) {
  const { store, cipher, breakers, life, restoreGuard, credentialsOf, owner, isForeign, metrics, monotonicNow } = deps
  const reads = createSingleFlight<FreshToken | null>({ maxWaiters: MAX_WAITERS })
  const flights = createSingleFlight<FreshToken>({ maxWaiters: MAX_WAITERS })
  const runAttempt = createAttempt(deps)
  let isDraining = false

  async function storedToken(grantId: string, row: GrantRow, leastSeconds: number): Promise<FreshToken | null> {
    const lifeSeconds = row.accessLifeSeconds ?? 0
    if (!row.accessCt || lifeSeconds < leastSeconds) return null
    const accessToken = await cipher.openAccessToken(grantId, row.gen, row.accessCt)
    return { accessToken, gen: row.gen, lifeSeconds, expiresAtSeconds: row.accessExpiresAtSeconds ?? 0 }
  }

  async function readUsable(grantId: string, mayBeBlocked = false): Promise<GrantRow> {
    let row = await store.read(grantId)
    if (row && (await restoreGuard.examine(grantId, row))) row = await store.read(grantId)
    if (!row || row.status === 'disconnected') throw disconnected()
    if (row.blockedReason && !mayBeBlocked) throw hostBlocked(row.blockedReason)
    if (row.status === 'reconnect_required') throw reconnectRequired(row.statusReason)
    return row
  }

  async function takeLease(grantId: string, row: GrantRow): Promise<Attempt | null> {
    breakers.grant.check(grantId)
    breakers.app.check(row.zoomAppId)
    const credentials = await credentialsOf(row.zoomAppId)
    if (!credentials || credentials.clientSecrets.length === 0)
      throw new AppError('app_misconfigured', 'The secret of this Zoom app is not configured any more.')
    breakers.endpoint.check() // last: its probe is then really sent
    const acquiredAtMs = monotonicNow()
    const attemptId = uuidv7()
    const lease = await store.acquire(grantId, row.gen, owner, attemptId)
    if (!lease) return null
    if (lease.isBehindHistory) {
      // an attempt in the database's own history knows of a later generation: the row was put back alone
      await store.release(grantId, lease, null)
      await restoreGuard.condemn(grantId, lease.gen)
      return null
    }
    return { id: attemptId, grantId, zoomAppId: row.zoomAppId, credentials, lease, acquiredAtMs }
  }

  async function getFresh(grantId: string, leastSeconds: number, renewal?: { seenGen: bigint }): Promise<FreshToken> {
    const giveUpAtMs = monotonicNow() + FLIGHT_LIMIT_MS
    let isSiblings = false
    while (monotonicNow() < giveUpAtMs && !isDraining) {
      const row = await readUsable(grantId, renewal !== undefined)
      const living = row.gen === renewal?.seenGen ? null : await storedToken(grantId, row, leastSeconds)
      if (living && isSiblings) metrics.countAdopted()
      if (living) return living
      if (isForeign()) throw foreignDatabase()
      if (row.leaseLeftSeconds > 0) {
        const paused = pausedError(row)
        if (paused) throw paused
        isSiblings = true
        await sleep(jitter(100, 400)) // one poller per replica and grant, not one per request
        continue
      }
      const attempt = await takeLease(grantId, row)
      const fresh = attempt && (await runAttempt(attempt))
      if (fresh) return fresh
    }
    throw waitedTooLong()
  }

  return {
    /**
     * The stored access token where it lives. Asked before `run`, so that nobody waits for a renewal that is under way
     * while the token it will replace, or one that a reconnect has just stored, could be lent.
     */
    living: (grantId: string): Promise<FreshToken | null> =>
      reads.run(grantId, async () => storedToken(grantId, await readUsable(grantId), life.leastSeconds())),
    /** Joins or starts the one flight of this grant. Whoever waits brings a deadline of its own; the flight ignores it. */
    run: (grantId: string, leastSeconds = life.leastSeconds()) =>
      flights.run(grantId, () => getFresh(grantId, leastSeconds)),
    /**
     * For the keep-alive alone: renews generation `seenGen` although its access token may live, of a blocked user's grant too. A
     * later generation is somebody else's renewal and is left alone.
     */
    renew: (grantId: string, seenGen: bigint): Promise<FreshToken> =>
      flights.run(grantId, () => getFresh(grantId, life.leastSeconds(), { seenGen })),
    /** What is left of the access token in whatever state its grant is: only to revoke with. */
    async remains(grantId: string): Promise<string | null> {
      const row = await store.read(grantId)
      return (row && (await storedToken(grantId, row, 1))?.accessToken) ?? null
    },
    /** Resolves once no refresh is under way; an unfinished write of a pair holds it back, waiting for others does not. */
    async drain(): Promise<void> {
      isDraining = true
      while (flights.size > 0) await sleep(20)
    },
  }
}
