import { createLru } from '../lib/lru.ts'
import type { FreshToken } from './attempt.ts'
import type { LifeRules } from './life.ts'

/** An access token in memory. Times are of the monotonic clock. */
export interface Remembered {
  accessToken: string
  gen: bigint
  expiresAtMs: number
  /** When the database last confirmed that this generation is the current one. */
  confirmedAtMs: number
  /** The next try to renew it ahead of need, not before. */
  renewAfterMs: number
}

type NewToken = Pick<FreshToken, 'accessToken' | 'gen' | 'lifeSeconds'>

/** What a statement of the caller's has just read of the grant. */
export interface Seen {
  gen: bigint
  accessLifeSeconds: number
}

const REMEMBERED_GRANTS = 10_000
// how long a remembered token is lent without asking the database whether it is still the current one
const KNOWLEDGE_MS = 5000
const RENEWAL_PAUSE_MS = 5000

/** Access tokens that need no question to the database. Gone with the process, bounded in number. */
export function createTokenMemory({ life, monotonicNow }: { life: LifeRules; monotonicNow: () => number }) {
  const entries = createLru<string, Remembered>(REMEMBERED_GRANTS)
  const lifeSecondsOf = ({ expiresAtMs }: Remembered) => (expiresAtMs - monotonicNow()) / 1000
  return {
    lifeSecondsOf,
    remember(grantId: string, { accessToken, gen, lifeSeconds }: NewToken): Remembered {
      const nowMs = monotonicNow()
      const current = { accessToken, gen, expiresAtMs: nowMs + lifeSeconds * 1000, confirmedAtMs: nowMs }
      const known = entries.get(grantId)
      if (known?.gen === gen) return Object.assign(known, current)
      const entry = { ...current, renewAfterMs: 0 }
      entries.set(grantId, entry)
      return entry
    },
    /** The token, where it is known to be the current one and has life enough to be lent. */
    recall(grantId: string, seen: Seen | undefined): Remembered | null {
      const entry = entries.get(grantId)
      if (!entry || (seen && seen.gen !== entry.gen)) return null
      const nowMs = monotonicNow()
      if (seen) {
        entry.confirmedAtMs = nowMs
        entry.expiresAtMs = Math.min(entry.expiresAtMs, nowMs + seen.accessLifeSeconds * 1000)
      }
      const isKnown = nowMs - entry.confirmedAtMs <= KNOWLEDGE_MS
      return isKnown && lifeSecondsOf(entry) >= life.leastSeconds() ? entry : null
    },
    /** Whether to renew it ahead of need: true once in a while, whatever comes of the try. */
    isRenewalDue(entry: Remembered): boolean {
      const nowMs = monotonicNow()
      if (nowMs < entry.renewAfterMs || lifeSecondsOf(entry) >= life.marginSeconds()) return false
      entry.renewAfterMs = nowMs + RENEWAL_PAUSE_MS
      return true
    },
    /** Of one generation, or of whichever there is. */
    forget(grantId: string, gen?: bigint): void {
      if (gen === undefined || entries.get(grantId)?.gen === gen) entries.delete(grantId)
    },
  }
}
