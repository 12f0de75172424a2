import type { GrantMetrics } from './metrics.ts'
import type { GrantStore } from './store.ts'
import type { GrantVault } from './vault.ts'

export interface UpkeepDeps {
  store: Pick<GrantStore, 'counts' | 'unlinked' | 'purgeAttempts'>
  vault: Pick<GrantVault, 'releaseIfUnlinked'>
  /** In a copy of another installation's database nothing is revoked: the original lives on the same grant. */
  isForeign: () => boolean
  showGrants: GrantMetrics['showGrants']
}

// Each may take a refresh and a revocation at Zoom. All at once: the longer ago a grant was found unlinked, the likelier its
// user is just connecting again. What is left over is the next round's.
const RELEASES_PER_ROUND = 10
// one short statement each, and an end to a round that meets years of history
const PURGE_BATCH = 1000
const PURGES_PER_ROUND = 20

/** What grants leave behind. Called by the clock only. */
export function createGrantUpkeep({ store, vault, isForeign, showGrants }: UpkeepDeps) {
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
      const grantIds = await store.unlinked(RELEASES_PER_ROUND)
      const releases = grantIds.map((grantId) => vault.releaseIfUnlinked(grantId, { revoke: true }))
      for (const outcome of await Promise.allSettled(releases)) if (outcome.status === 'rejected') throw outcome.reason
    },
    /** Deletes the history of refreshes past 30 days, but never that of a grant's last two generations. @throws store_unavailable */
    async purgeAttemptsAcrossTenants(signal: AbortSignal): Promise<void> {
      for (let batch = 0; batch < PURGES_PER_ROUND && !signal.aborted; batch++)
        if ((await store.purgeAttempts(PURGE_BATCH)) < PURGE_BATCH) return
    },
  }
}
