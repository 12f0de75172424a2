import { AppError } from '../errors.ts'
import { jitter } from '../lib/deadline.ts'
import { createLru } from '../lib/lru.ts'

interface Failures {
  count: number
  retryAtMs: number
}

export interface GrantBreaker {
  /** @throws zoom_unavailable while this grant's refreshes have failed too often and its next try is not due */
  check(grantId: string): void
  noteFailure(grantId: string): void
  /** Zoom answered for this grant. */
  noteAnswer(grantId: string): void
  openCount(): number
}

const REMEMBERED_GRANTS = 10_000
const TOLERATED_FAILURES = 3
const FIRST_PAUSE_MS = 5000
const LONGEST_PAUSE_MS = 60_000

/** After three failed refreshes of one grant, its next ones wait: longer each time, with jitter, a minute at most. */
export function createGrantBreaker({
  monotonicNow,
  random,
}: {
  monotonicNow: () => number
  random: () => number
}): GrantBreaker {
  const grants = createLru<string, Failures>(REMEMBERED_GRANTS)
  return {
    check(grantId) {
      const waitMs = (grants.get(grantId)?.retryAtMs ?? 0) - monotonicNow()
      if (waitMs > 0)
        throw new AppError('zoom_unavailable', 'Zoom did not renew the access token several times; try again later.', {
          reason: 'paused',
          retryAfterSeconds: Math.ceil(waitMs / 1000),
        })
    },
    noteFailure(grantId) {
      const count = (grants.get(grantId)?.count ?? 0) + 1
      const pauseMs =
        count < TOLERATED_FAILURES ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (count - TOLERATED_FAILURES), LONGEST_PAUSE_MS)
      grants.set(grantId, { count, retryAtMs: monotonicNow() + jitter(pauseMs / 2, pauseMs, random) })
    },
    noteAnswer: (grantId) => void grants.delete(grantId),
    openCount: () => [...grants.entries()].filter(([, { retryAtMs }]) => retryAtMs > monotonicNow()).length,
  }
}
