import { createLru } from '../lib/lru.ts'

interface Refusal {
  /** The generation whose renewal was forced. */
  gen: bigint
  /** The renewed token was refused too: renewing is not the cure. */
  isPaused: boolean
  untilMs: number
}

const REMEMBERED_GRANTS = 10_000
// one renewal in this time for a grant whose every access token the API refuses, whatever the number of calls
const PAUSE_MS = 30_000

/**
 * Whether renewing may help an access token that the API refuses. It helps once; where the API refuses the new token as well,
 * the token is not to blame, and renewing it for every call would spend a rotation each.
 */
export function createRefusals(monotonicNow: () => number) {
  const refusals = createLru<string, Refusal>(REMEMBERED_GRANTS)
  const recent = (grantId: string) => {
    const refusal = refusals.get(grantId)
    return refusal && monotonicNow() < refusal.untilMs ? refusal : null
  }
  const pause = (grantId: string, gen: bigint) =>
    refusals.set(grantId, { gen, isPaused: true, untilMs: monotonicNow() + PAUSE_MS })
  return {
    /** Generation `gen`, the current one, was refused. True where it may be renewed, by whoever comes first. */
    mayRenew(grantId: string, gen: bigint): boolean {
      const known = recent(grantId)
      if (known?.isPaused) return false
      if (known && known.gen !== gen) {
        pause(grantId, gen)
        return false
      }
      if (!known) refusals.set(grantId, { gen, isPaused: false, untilMs: monotonicNow() + PAUSE_MS })
      return true
    },
    /** The API took a token of this generation: the renewal that brought it, if it was forced, was the cure. */
    noteTaken(grantId: string, gen: bigint): void {
      const known = recent(grantId)
      if (known && !known.isPaused && known.gen !== gen) refusals.delete(grantId)
    },
    pause,
    forget: (grantId: string) => refusals.delete(grantId),
  }
}
