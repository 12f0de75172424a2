import type { GrantMetrics } from './metrics.ts'
import type { RestoreGuard } from './restore-guard.ts'
import type { GrantStore, HistoryPosition } from './store.ts'
import type { GrantVault } from './vault.ts'

export interface UpkeepDeps {
  store: Pick<GrantStore, 'counts' | 'unlinked' | 'purgeAttempts'>
  vault: Pick<GrantVault, 'releaseIfUnlinked'>
  restoreGuard: Pick<RestoreGuard, 'sweep'>
  /** In a copy of another installation's database nothing is revoked: the original lives on the same grant. */
  isForeign: () => boolean
  showGrants: GrantMetrics['showGrants']
}

// Each may take a refresh and a revocation at Zoom. All at once: the longer ago a grant was found unlinked, the likelier its
// user is just connecting again. What is left over is the next round's.
const RELEASES_PER_ROUND = 10
// longer than any connect flow takes from its consent to its link
const QUIET_SECONDS = 15 * 60
// one short statement each, and an end to a round that meets years of history
const PAGE = 1000
const PAGES_PER_ROUND = 20
const THE_BEGINNING: HistoryPosition = { startedAt: '-infinity', id: '00000000-0000-0000-0000-000000000000' }

/** What grants leave behind. Called by the clock only. */
export function createGrantUpkeep({ store, vault, restoreGuard, isForeign, showGrants }: UpkeepDeps) {
  let purgedUpTo = THE_BEGINNING
  return {
    /** For the metrics. @throws store_unavailable */
    async countAcrossTenants(): Promise<void> {
      showGrants(await store.counts())
    },
    /**
     * Lets go of grants that keep tokens and that nobody links: a crash came between the end of the last link and the
     * release, or between the consent and the first link. @throws what the first failed release threw, after the others
     */
    async releaseUnlinkedAcrossTenants(signal: AbortSignal): Promise<void> {
      if (isForeign() || signal.aborted) return
      const grantIds = await store.unlinked(RELEASES_PER_ROUND, QUIET_SECONDS)
      const options = { revoke: true, quietSeconds: QUIET_SECONDS }
      const releases = grantIds.map((grantId) => vault.releaseIfUnlinked(grantId, options))
      for (const outcome of await Promise.allSettled(releases)) if (outcome.status === 'rejected') throw outcome.reason
    },
    /**
     * Deletes the history of refreshes past 30 days, but not that of a grant's last two generations. Each round goes on where
     * the one before stopped, so that what has to stay is not read again and again. @throws store_unavailable
     */
    async purgeAttemptsAcrossTenants(signal: AbortSignal): Promise<void> {
      for (let page = 0; page < PAGES_PER_ROUND && !signal.aborted; page++) {
        const end = await store.purgeAttempts(purgedUpTo, PAGE)
        purgedUpTo = end ?? THE_BEGINNING
        if (!end) return
      }
    },
    /** Puts back what the database lost, while this process still has it. @throws store_unavailable */
    sweepAcrossTenants: (): Promise<void> => restoreGuard.sweep(),
  }
}
