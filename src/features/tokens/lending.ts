import { AppError } from '../../errors.ts'
import { refusedAs, type Settlement } from './service.ts'
import { isConnected, type Lend, type LentToken, refusalOf, type TokenSource } from './source.ts'

export interface LendingDeps {
  lend: Lend
  openLent: (
    tenantId: string,
    hostId: string,
    requestId: string,
  ) => Promise<{ mintId: string; host: TokenSource; scopes: string[] } | null>
  settle: (kind: 'access', settlement: Settlement) => void
}

export interface LendingRequest {
  hostId: string
  leastSeconds: number
  requestId: string
  elapsedMs: () => number
}

export type LendingService = ReturnType<typeof createLendingService>

// no bot waits here: long enough for a refresh to end (8 s), short of what clients of an API wait
const LEND_DEADLINE_MS = 10_000

/** Access tokens for a backend's own calls to Zoom. */
export function createLendingService({ lend, openLent, settle }: LendingDeps) {
  async function lendFrom(host: TokenSource, leastSeconds: number): Promise<LentToken> {
    if (!isConnected(host)) throw refusalOf(host)
    return await lend(host.grantId, { leastSeconds, deadlineMs: LEND_DEADLINE_MS })
  }
  return {
    /**
     * The host's access token, with its row in the ledger open before it leaves.
     * @throws not_found, reconnect_required, host_blocked and what the vault throws
     */
    async lend(tenantId: string, request: LendingRequest): Promise<LentToken & { scopes: string[] }> {
      const { hostId, leastSeconds, requestId, elapsedMs } = request
      const opened = await openLent(tenantId, hostId, requestId)
      if (!opened) throw new AppError('not_found', 'No such host.')
      const base = { id: opened.mintId, hostId, reason: null, zoomStatus: null, zoomCode: null }
      try {
        const lent = await lendFrom(opened.host, leastSeconds)
        settle('access', { ...base, outcome: 'minted', durationMs: elapsedMs() })
        return { ...lent, scopes: opened.scopes }
      } catch (error) {
        settle('access', { ...base, ...refusedAs(error), durationMs: elapsedMs() })
        throw error
      }
    },
  }
}
