import { type CursorCodec, toPage } from '../../lib/cursor.ts'
import type { MintFilter, MintStore } from './store.ts'

export interface MintDeps {
  store: MintStore
  cursors: CursorCodec
}

export type MintService = ReturnType<typeof createMintService>

/** What a row says whose outcome was never written. */
const UNTOLD = 'unknown'

/** The ledger as its tenant reads it. */
export function createMintService({ store, cursors }: MintDeps) {
  return {
    /** Newest first. @throws invalid_request for a cursor of another list */
    async list(
      tenantId: string,
      filter: MintFilter & { outcome?: string | undefined },
      limit: number,
      cursor: string | undefined,
    ) {
      const { meetingId, passId, outcome, kind } = filter
      const scope = { tenantId, list: 'mints', filter: { meetingId, passId, outcome, kind } }
      const stored = { ...filter, outcome: outcome === UNTOLD ? null : outcome }
      const rows = await store.list(tenantId, stored, limit + 1, cursors.decode(scope, cursor))
      const { data, nextCursor } = toPage(rows, limit, (position) => cursors.encode(scope, position))
      return { data: data.map((mint) => ({ ...mint, outcome: mint.outcome ?? UNTOLD })), nextCursor }
    },
  }
}
