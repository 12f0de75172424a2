import { createLru } from './lru.ts'

export interface Quota {
  isLeft(key: string): boolean
  /** Takes one, or says that none is left. */
  take(key: string): boolean
}

export interface QuotaOptions {
  max: number
  windowMs: number
  monotonicNow: () => number
}

// what a key that comes after more than so many others had taken is forgotten
const KEYS = 10_000

/** At most `max` per key within any `windowMs`: times are kept, not a count per window, whose edges would let twice as many through. */
export function createQuota({ max, windowMs, monotonicNow }: QuotaOptions): Quota {
  const taken = createLru<string, number[]>(KEYS)
  function recent(key: string): number[] {
    const since = monotonicNow() - windowMs
    return (taken.get(key) ?? []).filter((at) => at > since)
  }
  return {
    isLeft: (key) => recent(key).length < max,
    take(key) {
      const times = recent(key)
      if (times.length >= max) return false
      taken.set(key, [...times, monotonicNow()])
      return true
    },
  }
}
