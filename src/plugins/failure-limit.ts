import { AppError } from '../errors.ts'
import { createLru } from '../lib/lru.ts'

// contract §5: beyond this, one address is told to wait; authentic requests are never refused by address
const FAILURES_PER_SECOND = 100

export interface FailureLimit {
  /** Counts one failed authentication of an address and gives the error to answer with: 401, beyond the limit 429. */
  refuse(address: string, reason: string): AppError
}

/** Counts failed authentications per address and second. In memory: it bounds noise, it guards nothing. */
export function createFailureLimit(now: () => number): FailureLimit {
  const windows = createLru<string, { second: number; failures: number }>(10_000)
  return {
    refuse(address, reason) {
      const second = Math.floor(now() / 1000)
      const known = windows.get(address)
      const failures = known?.second === second ? known.failures + 1 : 1
      windows.set(address, { second, failures })
      if (failures > FAILURES_PER_SECOND)
        return new AppError('rate_limited', 'Too many failed authentications; wait.', { reason, retryAfterSeconds: 1 })
      return new AppError('unauthenticated', 'The request is not authentic.', { reason })
    },
  }
}
