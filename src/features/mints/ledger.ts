import type { FastifyBaseLogger } from 'fastify'
import { uuidv7 } from '../../lib/ids.ts'
import { inParts } from '../../lib/in-parts.ts'
import { createWriteBehind } from '../../lib/write-behind.ts'
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
const PURGED_AT_ONCE = 2000

/** Opens a row per mint before its token leaves, and writes outcomes afterwards in batches. */
export function createLedger({ store, log, countMint, countUnsigned }: LedgerDeps) {
  const outcomes = createWriteBehind<Settlement>({
    write: store.settle,
    everyMs: FLUSH_EVERY_MS,
    batchItems: BATCH_ROWS,
    maxQueued: QUEUED_ROWS,
    onDelayed: (err, waiting) => log.warn({ err, waiting }, 'mint outcomes are not written yet'),
    onRefused: (err, lost) => log.error({ err, lost }, 'mint outcomes were refused by the database; they read unknown'),
    onLost: (lost) => log.error({ lost }, 'mint outcomes were not written; they read unknown'),
  })
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
      outcomes.add(settlement)
    },
    /** Lists a refused authentication of a known pass. The answer does not depend on it. */
    async recordRefusal(passId: string, kind: PassKind, reason: string, requestId: string): Promise<void> {
      countMint(kind, 'unauthenticated', null)
      await store.recordRefusal(passId, uuidv7(), kind, reason, requestId).catch((error: unknown) => {
        log.warn({ err: error }, 'a refused authentication could not be listed')
      })
    },
    /** Writes what waits; on shutdown, after the last request. */
    flush: outcomes.flush,
    /** Deletes what is past its age. @throws store_unavailable */
    purgeAcrossTenants: (signal: AbortSignal): Promise<number> =>
      inParts(PURGED_AT_ONCE, signal, store.purgeAcrossTenants),
    purgeSeenAcrossTenants: (olderThanSeconds: number) => store.purgeSeenAcrossTenants(olderThanSeconds),
  }
}
