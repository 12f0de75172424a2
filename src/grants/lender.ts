import { AppError } from '../errors.ts'
import { withDeadline } from '../lib/deadline.ts'
import type { FreshToken } from './attempt.ts'
import type { LifeRules } from './life.ts'
import type { Refresher } from './refresh.ts'

/** An access token that leaves the service. */
export interface LentToken {
  accessToken: string
  /** By the database's clock. A later refresh may end it sooner. */
  expiresAt: Date
}

export interface LendOptions {
  /** What it has left at least, in seconds; less only where Zoom issues none that live so long. */
  leastSeconds: number
  /** How long the caller waits, all told; the refresh behind it goes on. */
  deadlineMs: number
}

export interface Lender {
  /**
   * The grant's access token itself, renewed first where less life is left than asked. For callers that the vault cannot stand
   * in for: what they do with it, and when, is theirs.
   * @throws reconnect_required, host_not_connected, host_blocked, app_misconfigured, zoom_unavailable, zoom_timeout,
   * zoom_rate_limited, busy, store_unavailable, foreign_database
   */
  lend(grantId: string, options: LendOptions): Promise<LentToken>
}

// a flight that was joined may have been started by who needed less; the next one is ours
const FLIGHTS = 3

const tooLate = () =>
  new AppError('zoom_timeout', 'The access token was not renewed in time; try again.', { retryAfterSeconds: 2 })

/** Lends access tokens out of the house, through the same one flight and lease as everybody else's. */
export function createLender(refresher: Pick<Refresher, 'run'>, life: Pick<LifeRules, 'lentSeconds'>): Lender {
  async function tokenWith(grantId: string, leastSeconds: number): Promise<FreshToken> {
    for (let flights = 0; flights < FLIGHTS; flights++) {
      const fresh = await refresher.run(grantId, life.lentSeconds(leastSeconds))
      // asked again: the refresh may just have shown how long Zoom's tokens live
      if (fresh.lifeSeconds >= life.lentSeconds(leastSeconds)) return fresh
    }
    throw tooLate()
  }
  return {
    async lend(grantId, { leastSeconds, deadlineMs }) {
      const { accessToken, expiresAtSeconds } = await withDeadline(
        tokenWith(grantId, leastSeconds),
        deadlineMs,
        tooLate,
      )
      return { accessToken, expiresAt: new Date(expiresAtSeconds * 1000) }
    },
  }
}
