import { Refusal } from './refusal.ts'
import type { State } from './state.ts'

export type RateLabel = 'light' | 'medium'

/** Zoom's per-second limit: per customer account and label, over all apps; off unless `enforceRateLimit` is set. */
export function createRateLimit(state: State) {
  const windows = new Map<string, { second: number; used: number }>()
  return {
    /** Counts one request. Returns the headers to add to its answer. @throws Refusal 429 */
    count(accountId: string, label: RateLabel): Record<string, string> {
      if (!state.modes.enforceRateLimit) return {}
      const limit = state.modes.rateLimitPerSecond[label]
      const second = Math.floor(state.now() / 1000)
      const key = `${accountId} ${label}`
      const current = windows.get(key)
      const used = current?.second === second ? current.used + 1 : 1
      windows.set(key, { second, used })
      const headers = {
        'x-ratelimit-category': label === 'light' ? 'Light' : 'Medium',
        'x-ratelimit-type': 'QPS',
        'x-ratelimit-limit': String(limit),
        'x-ratelimit-remaining': String(Math.max(0, limit - used)),
        'x-ratelimit-reset': String(second + 1),
      }
      if (used <= limit) return headers
      const message = 'You have reached the maximum per-second rate limit for this API. Try again later.'
      throw new Refusal({ status: 429, headers: { ...headers, 'retry-after': '1' }, body: { code: 429, message } })
    },
    clear: () => windows.clear(),
  }
}
