import { AppError } from '../errors.ts'

// soon enough to notice a mended secret, rare enough not to hammer a refused one
const PROBE_EVERY_MS = 2000
// an app that nobody has asked for since is not worth an alert: deleted, or without hosts
const FORGOTTEN_MS = 10 * 60_000

export interface AppBreaker {
  /** @throws app_misconfigured while Zoom refuses the app and its next probe is not due */
  check(zoomAppId: string): void
  /** Zoom refused the app itself; no grant is to blame. True the first time, when the operator must hear of it. */
  trip(zoomAppId: string): boolean
  /** Zoom answered the app again. True if it was paused before. */
  recover(zoomAppId: string): boolean
  openCount(): number
}

export const appMisconfigured = () =>
  new AppError(
    'app_misconfigured',
    'Zoom refuses the client id or secret of this Zoom app; the operator must mend it.',
    {
      retryAfterSeconds: PROBE_EVERY_MS / 1000,
    },
  )

/** Pauses refreshes of an app whose client id or secret Zoom refuses: one probe at a time finds out when it is mended. */
export function createAppBreaker(monotonicNow: () => number): AppBreaker {
  const probeAt = new Map<string, number>()
  return {
    check(zoomAppId) {
      const due = probeAt.get(zoomAppId)
      if (due === undefined) return
      if (monotonicNow() < due) throw appMisconfigured()
      probeAt.set(zoomAppId, monotonicNow() + PROBE_EVERY_MS)
    },
    trip(zoomAppId) {
      const isFirst = !probeAt.has(zoomAppId)
      probeAt.set(zoomAppId, monotonicNow() + PROBE_EVERY_MS)
      return isFirst
    },
    recover: (zoomAppId) => probeAt.delete(zoomAppId),
    openCount: () => [...probeAt.values()].filter((dueMs) => monotonicNow() - dueMs < FORGOTTEN_MS).length,
  }
}
