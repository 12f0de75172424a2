import type { FastifyBaseLogger } from 'fastify'
import type { GrantStore } from './store.ts'
import type { Mark, Watermarks } from './watermarks.ts'

export interface RestoreGuardDeps {
  store: Pick<GrantStore, 'heal' | 'condemnRestored' | 'generations'>
  watermarks: Watermarks
  log: FastifyBaseLogger
  countBackwards: (fate: 'healed' | 'condemned') => void
  isForeign: () => boolean
}

export type RestoreGuard = ReturnType<typeof createRestoreGuard>

type ReadRow = Mark & { status: string; statusReason: string | null }

const ROWS_AT_ONCE = 1000

/**
 * Notices rows that are older than what the database itself has confirmed before: restored from a backup, or lost in a
 * fail-over. What such a row holds was rotated away, and is not spent: the pair goes back in where it is still in memory, and
 * the grant is marked `restored_backup` where it is not.
 */
export function createRestoreGuard({ store, watermarks, log, countBackwards, isForeign }: RestoreGuardDeps) {
  async function putBack(grantId: string, gen: bigint, seenGen: bigint): Promise<void> {
    const pair = watermarks.pairOf(grantId, seenGen)
    const fields = { grant_id: grantId, gen: String(gen), seen_gen: String(seenGen) }
    if (pair) {
      if (!(await store.heal(grantId, gen, seenGen, pair))) return
      countBackwards('healed')
      log.error(fields, 'database_went_backwards: a lost rotation was put back')
    } else if (await store.condemnRestored(grantId, gen)) {
      countBackwards('condemned')
      log.error(fields, 'database_went_backwards: a grant must reconnect')
    }
  }

  return {
    /**
     * Notes a row just read. True where the database has gone backwards and the row was dealt with: read it again. A read that
     * was on its way while a rotation was stored looks the same, but changes nothing: every write here compares generations.
     * @throws store_unavailable
     */
    async examine(grantId: string, row: ReadRow): Promise<boolean> {
      const seenGen = watermarks.seenBeyond(grantId, row)
      if (seenGen === null) {
        watermarks.note(grantId, row)
        return false
      }
      const isTold = row.status === 'reconnect_required' && row.statusReason !== 'rejected_by_zoom'
      if (isForeign() || row.status === 'disconnected') return false
      if (isTold && !watermarks.pairOf(grantId, seenGen)) return false // it waits for its user already
      await putBack(grantId, row.gen, seenGen)
      return true
    },
    /** The history in the database itself is ahead of the row: the row was put back alone. */
    async condemn(grantId: string, gen: bigint): Promise<void> {
      if (!(await store.condemnRestored(grantId, gen))) return
      countBackwards('condemned')
      log.error({ grant_id: grantId, gen: String(gen) }, 'database_went_backwards: a grant must reconnect')
    },
    /** Looks at every grant this process has seen: for when the database is known to have changed. */
    async sweep(): Promise<void> {
      if (isForeign()) return
      const grantIds = watermarks.grantIds()
      for (let start = 0; start < grantIds.length; start += ROWS_AT_ONCE) {
        for (const row of await store.generations(grantIds.slice(start, start + ROWS_AT_ONCE))) {
          const seenGen = watermarks.seenBeyond(row.grantId, row)
          if (seenGen !== null && row.status !== 'disconnected') await putBack(row.grantId, row.gen, seenGen)
        }
      }
    },
  }
}
