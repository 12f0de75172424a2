import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../../errors.ts'
import { uuidv7 } from '../../lib/ids.ts'
import { inParts } from '../../lib/in-parts.ts'
import type { PassKind } from '../../zoom/scopes.ts'
import type { LedgerStore, OpenedRow, Settlement } from './ledger-store.ts'

/** An authentic request whose ledger row is open. */
export interface OpenedMint extends OpenedRow {
  mintId: string
  kind: PassKind
  /** Let through without a signature by `signature_mode` `observe`. */
  isUnsigned: boolean
}

export interface LedgerDeps {
  store: LedgerStore
  log: FastifyBaseLogger
  /** No duration for what was refused before it became a mint. */
  countMint: (kind: PassKind, outcome: string, durationMs: number | null) => void
  countUnsigned: (kind: PassKind) => void
}

const FLUSH_EVERY_MS = 500 // outcomes are promised within 1 s
const BATCH_ROWS = 1000
// about 20 MB; beyond it the oldest outcomes stay `unknown`, which is what the ledger says of what it was not told
const QUEUED_ROWS = 100_000
const CLOSING_TRIES = 5
const PURGED_AT_ONCE = 2000

/** Opens a row per mint before its token leaves, and writes outcomes afterwards in batches. */
export function createLedger({ store, log, countMint, countUnsigned }: LedgerDeps) {
  const queue: Settlement[] = []
  let timer: NodeJS.Timeout | null = null
  let writing: Promise<void> = Promise.resolve()

  /** One batch. False where the database could not be reached; the rows then wait for the next turn. */
  async function writeBatch(): Promise<boolean> {
    const batch = queue.splice(0, BATCH_ROWS)
    if (batch.length === 0) return true
    try {
      await store.settle(batch)
      return true
    } catch (error) {
      if (error instanceof AppError) {
        queue.unshift(...batch)
        log.warn({ err: error, waiting: queue.length }, 'mint outcomes are not written yet')
        return false
      }
      // a value that the database refuses would refuse every batch after this one too
      log.error({ err: error, lost: batch.length }, 'mint outcomes were refused by the database; they read unknown')
      return true
    }
  }
  async function writeAll(): Promise<void> {
    while (queue.length > 0 && (await writeBatch()));
  }
  function schedule(): void {
    timer ??= setTimeout(() => {
      timer = null
      writing = writing.then(writeAll)
      writing.then(() => queue.length > 0 && schedule())
    }, FLUSH_EVERY_MS)
  }
  const opened = (row: OpenedRow | null, mintId: string, kind: PassKind, isUnsigned: boolean): OpenedMint | null =>
    row && { ...row, mintId, kind, isUnsigned }

  return {
    /** Null where the pass or the secret that held was revoked in between: nothing was opened. @throws store_unavailable */
    async open(request: {
      passId: string
      kind: PassKind
      webhookId: string | null
      secretId: string | null
      requestId: string
    }) {
      const mintId = uuidv7()
      const isUnsigned = request.webhookId === null
      const row = opened(await store.open({ ...request, mintId }), mintId, request.kind, isUnsigned)
      if (row && isUnsigned) countUnsigned(request.kind)
      return row
    },
    /** @throws store_unavailable */
    async openPlain(request: {
      tenantId: string
      meetingId: string
      kind: PassKind
      webhookId: string
      secretId: string | null
      requestId: string
    }) {
      const mintId = uuidv7()
      return opened(await store.openPlain({ ...request, mintId }), mintId, request.kind, false)
    },
    /** Who opens a meeting's door as the map says now, for a mint that is open already. @throws store_unavailable */
    targetNow: (tenantId: string, kind: PassKind, meetingId: string) => store.targetNow(tenantId, meetingId, kind),
    /** A backend's own call. Null where the tenant has no such host: nothing was opened. @throws store_unavailable */
    async openLent(tenantId: string, hostId: string, requestId: string) {
      const mintId = uuidv7()
      const row = await store.openLent(tenantId, hostId, mintId, requestId)
      return row && { ...row, mintId }
    },
    /** Queues the outcome of an open row; it is written within a second, and on shutdown. */
    settle(kind: PassKind, settlement: Settlement): void {
      countMint(kind, settlement.outcome, settlement.durationMs)
      queue.push(settlement)
      if (queue.length > QUEUED_ROWS) queue.shift()
      schedule()
    },
    /** Lists a refused authentication of a known pass. The answer does not depend on it. */
    async recordRefusal(passId: string, kind: PassKind, reason: string, requestId: string): Promise<void> {
      countMint(kind, 'unauthenticated', null)
      await store.recordRefusal(passId, uuidv7(), kind, reason, requestId).catch((error: unknown) => {
        log.warn({ err: error }, 'a refused authentication could not be listed')
      })
    },
    /** Writes what waits; on shutdown, after the last request. */
    async flush(): Promise<void> {
      if (timer) clearTimeout(timer)
      timer = null
      await writing
      for (let tries = 0; queue.length > 0 && tries < CLOSING_TRIES; ) if (!(await writeBatch())) tries += 1
      if (queue.length > 0) log.error({ lost: queue.length }, 'mint outcomes were not written; they read unknown')
    },
    /** Deletes what is past its age. @throws store_unavailable */
    purgeAcrossTenants: (signal: AbortSignal): Promise<void> =>
      inParts(PURGED_AT_ONCE, signal, store.purgeAcrossTenants),
    purgeSeenAcrossTenants: (olderThanSeconds: number) => store.purgeSeenAcrossTenants(olderThanSeconds),
  }
}
