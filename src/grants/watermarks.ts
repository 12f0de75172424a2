import { createLru } from '../lib/lru.ts'
import type { Consented, SealedPair } from './store.ts'

/** A generation that the database has shown or confirmed to this process, and when it was stored, by the database's clock. */
export interface Mark {
  gen: bigint
  storedAtSeconds: number
}

interface KeptPair extends Consented {
  gen: bigint
  pair: SealedPair
  expiresAtMs: number
  forgetAtMs: number
}

const REMEMBERED_GRANTS = 50_000
const KEPT_PAIRS = 5000
/** A database that lost a commit comes back within minutes; a pair is no use for longer. */
const KEEP_PAIR_MS = 10 * 60_000

export type Watermarks = ReturnType<typeof createWatermarks>

/**
 * The highest generation of each grant that this process has seen, and for ten minutes the pairs it stored itself, still
 * sealed. A database that shows an older generation has gone backwards. Times are of the monotonic clock but where they say so.
 */
export function createWatermarks(monotonicNow: () => number) {
  const marks = createLru<string, Mark>(REMEMBERED_GRANTS)
  const pairs = createLru<string, KeptPair>(KEPT_PAIRS)
  let purge: NodeJS.Timeout | undefined

  function zero({ pair }: KeptPair): void {
    pair.refreshCt.fill(0)
    pair.accessCt.fill(0)
  }
  function drop(grantId: string): void {
    const kept = pairs.get(grantId)
    if (kept) zero(kept)
    pairs.delete(grantId)
  }
  function purgeDue(): void {
    purge = undefined
    for (const [grantId, { forgetAtMs }] of [...pairs.entries()]) if (forgetAtMs <= monotonicNow()) drop(grantId)
    if (pairs.size > 0) schedule()
  }
  function schedule(): void {
    purge ??= setTimeout(purgeDue, KEEP_PAIR_MS / 10).unref()
  }

  return {
    /** What was read or stored; an answer that comes late, with an older generation of the same history, changes nothing. */
    note(grantId: string, { gen, storedAtSeconds }: Mark): void {
      const known = marks.get(grantId)
      if (known && known.gen >= gen && known.storedAtSeconds >= storedAtSeconds) return
      marks.set(grantId, { gen, storedAtSeconds })
    },
    /** Keeps a pair that this process has stored under `gen`. */
    keep(grantId: string, gen: bigint, pair: SealedPair, consented: Consented): void {
      drop(grantId)
      const nowMs = monotonicNow()
      const copy = { ...pair, refreshCt: Buffer.from(pair.refreshCt), accessCt: Buffer.from(pair.accessCt) }
      pairs.set(grantId, {
        ...consented,
        gen,
        pair: copy,
        expiresAtMs: nowMs + pair.expiresInSeconds * 1000,
        forgetAtMs: nowMs + KEEP_PAIR_MS,
      })
      schedule()
    },
    /** The later generation that was seen, where the row is an older one of the same history; null where all is well. */
    seenBeyond(grantId: string, { gen, storedAtSeconds }: Mark): bigint | null {
      const known = marks.get(grantId)
      // a later authorisation starts a history of its own, whatever its number
      return known && known.gen > gen && known.storedAtSeconds >= storedAtSeconds ? known.gen : null
    },
    /** The pair of exactly this generation, while it is kept; its life as it is now. */
    pairOf(grantId: string, gen: bigint): (SealedPair & Consented) | null {
      const kept = pairs.get(grantId)
      if (!kept || kept.gen !== gen || kept.forgetAtMs <= monotonicNow()) return null
      const { consentEpoch, consentReason } = kept
      const expiresInSeconds = Math.max(0, (kept.expiresAtMs - monotonicNow()) / 1000)
      return { ...kept.pair, expiresInSeconds, consentEpoch, consentReason }
    },
    /** Of a grant that was let go: its pair is nobody's any more. */
    drop,
    keptGrantIds: (): string[] => [...pairs.entries()].map(([grantId]) => grantId),
    grantIds: (): string[] => [...marks.entries()].map(([grantId]) => grantId),
    close(): void {
      clearTimeout(purge)
      for (const [grantId] of [...pairs.entries()]) drop(grantId)
    },
  }
}
