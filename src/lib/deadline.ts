export interface Deadline {
  /** Milliseconds left, never below 0. */
  remainingMs(): number
  readonly expired: boolean
}

/** A budget that starts now and is handed down a call chain. Monotonic, so that a step of the wall clock changes nothing. */
export function createDeadline(budgetMs: number, monotonicNow: () => number = () => performance.now()): Deadline {
  const endMs = monotonicNow() + budgetMs
  const remainingMs = () => Math.max(0, endMs - monotonicNow())
  return {
    remainingMs,
    get expired() {
      return remainingMs() === 0
    },
  }
}

/**
 * Settles as the promise does, or rejects with `onTimeout()` after `ms` milliseconds. The work goes on: its late result is
 * dropped and its late rejection is swallowed, so that it never becomes an unhandled one.
 */
export function withDeadline<T>(promise: Promise<T>, ms: number, onTimeout: () => Error): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(onTimeout()), ms)
    promise.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

/** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as that aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** A whole number of milliseconds from `minMs` to `maxMs`, spread evenly; `random` gives 0 (included) to 1 (excluded). */
export function jitter(minMs: number, maxMs: number, random: () => number = Math.random): number {
  return minMs + Math.floor(random() * (maxMs - minMs + 1))
}
