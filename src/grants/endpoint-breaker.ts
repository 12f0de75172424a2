import { AppError } from '../errors.ts'

export interface EndpointBreaker {
  /** @throws zoom_unavailable while the token endpoint is taken for down and its next probe is not due */
  check(): void
  /** True where this failure opened the breaker: the operator must hear of it. */
  noteFailure(grantId: string): boolean
  /** Zoom's token endpoint answered, whatever it said. True if it was taken for down before. */
  noteAnswer(): boolean
  isOpen(): boolean
}

// so many failures in a row, over so many grants, in so short a time, are not the grants' fault
const FAILURES = 50
const GRANTS = 20
const WITHIN_MS = 10_000
const PROBE_EVERY_MS = 2000

/** Zoom's token endpoint as a whole: where it fails for everybody, one probe at a time finds out when it is back. */
export function createEndpointBreaker(monotonicNow: () => number): EndpointBreaker {
  let failures: { grantId: string; atMs: number }[] = []
  let probeAtMs: number | null = null
  return {
    check() {
      if (probeAtMs === null) return
      if (monotonicNow() < probeAtMs)
        throw new AppError('zoom_unavailable', 'Zoom does not renew access tokens at the moment; try again.', {
          reason: 'paused',
          retryAfterSeconds: PROBE_EVERY_MS / 1000,
        })
      probeAtMs = monotonicNow() + PROBE_EVERY_MS
    },
    noteFailure(grantId) {
      const nowMs = monotonicNow()
      failures = [...failures.slice(1 - FAILURES), { grantId, atMs: nowMs }]
      if (probeAtMs !== null) return false
      const [oldest] = failures
      const isInTime = oldest !== undefined && nowMs - oldest.atMs <= WITHIN_MS
      const isDown =
        isInTime && failures.length === FAILURES && new Set(failures.map((one) => one.grantId)).size >= GRANTS
      if (isDown) probeAtMs = nowMs + PROBE_EVERY_MS
      return isDown
    },
    noteAnswer() {
      const wasOpen = probeAtMs !== null
      failures = []
      probeAtMs = null
      return wasOpen
    },
    isOpen: () => probeAtMs !== null,
  }
}
