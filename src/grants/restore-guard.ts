import type { FastifyBaseLogger } from 'fastify'
import { createSingleFlight } from '../lib/single-flight.ts'
import type { Consented, GrantStore, SealedPair } from './store.ts'
import type { Mark, Watermarks } from './watermarks.ts'

export interface RestoreGuardDeps {
  store: Pick<GrantStore, 'heal' | 'condemnRestored' | 'generations'>
  watermarks: Watermarks
  log: FastifyBaseLogger
  countBackwards: (fate: 'healed' | 'condemned') => void
  isForeign: () => boolean
}

export type RestoreGuard = ReturnType<typeof createRestoreGuard>

type KeptPair = SealedPair & Consented
type ReadRow = Mark & { status: string; statusReason: string | null }

const ROWS_AT_ONCE = 1000

/**
 * Notices rows that are older than what the database itself has confirmed before: restored from a backup, or lost in a
 * fail-over. What such a row holds was rotated away, and is not spent: the pair goes back in where it is still in memory, and
 * the grant is marked `restored_backup` where it is not.
 */
export function createRestoreGuard({ store, watermarks, log, countBackwards, isForeign }: RestoreGuardDeps) {
  const sweeps = createSingleFlight<void>()
  let isAllDue = false

  /** When it was stored; null where the row has changed meanwhile. @throws store_unavailable */
  async function heal(grantId: string, gen: bigint, seenGen: bigint, pair: KeptPair): Promise<number | null> {
    const storedAtSeconds = await store.heal(grantId, gen, seenGen, pair)
    if (storedAtSeconds === null) return null
    watermarks.note(grantId, { gen: seenGen, storedAtSeconds })
    countBackwards('healed')
    const fields = { grant_id: grantId, gen: String(gen), seen_gen: String(seenGen) }
    log.error(fields, 'database_went_backwards: a lost rotation was put back')
    return storedAtSeconds
  }

  /** Marks the grant `restored_backup`: what its row holds was rotated away. @throws store_unavailable */
  async function condemn(grantId: string, gen: bigint): Promise<void> {
    if (!(await store.condemnRestored(grantId, gen))) return
    countBackwards('condemned')
    log.error({ grant_id: grantId, gen: String(gen) }, 'database_went_backwards: a grant must reconnect')
  }

  async function putBack(grantId: string, gen: bigint, seenGen: bigint): Promise<void> {
    const pair = watermarks.pairOf(grantId, seenGen)
    if (pair) await heal(grantId, gen, seenGen, pair)
    else await condemn(grantId, gen)
  }

  /** One that fails is met again by the next sweep, and holds up none of the others. */
  async function sweepOnly(grantIds: string[]): Promise<void> {
    const failures: unknown[] = []
    for (let start = 0; start < grantIds.length; start += ROWS_AT_ONCE) {
      for (const row of await store.generations(grantIds.slice(start, start + ROWS_AT_ONCE))) {
        const seenGen = watermarks.seenBeyond(row.grantId, row)
        if (seenGen === null || row.status === 'disconnected') continue
        await putBack(row.grantId, row.gen, seenGen).catch((error: unknown) => failures.push(error))
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  /**
   * Looks at the grants whose pair this process still has: it may be the only one that can put it back. After the database
   * became another one, at every grant it has seen. @throws store_unavailable, and is then due again
   */
  const sweep = () =>
    sweeps.run('sweep', async () => {
      if (isForeign()) return
      const isAll = isAllDue
      isAllDue = false
      try {
        await sweepOnly(isAll ? watermarks.grantIds() : watermarks.keptGrantIds())
      } catch (error) {
        isAllDue ||= isAll
        throw error
      }
    })

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
    heal,
    condemn,
    sweep,
    /** The database has become another one: all that was seen is looked at, now, and until that has succeeded. */
    sweepAll(): void {
      isAllDue = true
      sweep().catch((error: unknown) =>
        log.info({ err: error }, 'grants could not be compared; the next round does it'),
      )
    },
  }
}
