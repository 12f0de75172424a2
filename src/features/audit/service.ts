import { type CursorCodec, toPage } from '../../lib/cursor.ts'
import type { AuditFilter, AuditLine, AuditTrailStore } from './store.ts'

export interface AuditTrailDeps {
  store: AuditTrailStore
  cursors: CursorCodec
}

/** Whose lines are asked for, and who asks. */
export interface Reader {
  /** Undefined: of all tenants, and of none. */
  tenantId: string | undefined
  /** Sees whence every request came; a tenant only of its own keys'. */
  isOperator: boolean
}

/** A line as it is told: an outcome that was never settled reads `unknown`. */
export type ToldLine = Omit<AuditLine, 'outcome' | 'position'> & { outcome: string }

/** What an export ends with: where the next one goes on, null where there is no more. */
export interface ExportEnd {
  nextCursor: string | null
}

const UNTOLD = 'unknown'
const PAGE_LINES = 500

/** The audit trail as its tenant, or the operator, reads it. */
export function createAuditTrail({ store, cursors }: AuditTrailDeps) {
  const scopeOf = (
    { tenantId, isOperator }: Reader,
    { since, until, ...filter }: AuditFilter & { outcome?: string },
  ) => ({
    tenantId: tenantId ?? '',
    list: isOperator ? 'audit-operator' : 'audit',
    filter: { ...filter, since: since?.toISOString(), until: until?.toISOString() },
  })
  const told = ({ isOperator }: Reader, { position: _, ...line }: AuditLine): ToldLine => ({
    ...line,
    outcome: line.outcome ?? UNTOLD,
    address: isOperator || line.actor.startsWith('key:') ? line.address : null,
  })
  async function list(
    reader: Reader,
    filter: AuditFilter & { outcome?: string | undefined },
    limit: number,
    cursor: string | undefined,
  ) {
    const scope = scopeOf(reader, filter as AuditFilter & { outcome?: string })
    const stored = { ...filter, outcome: filter.outcome === UNTOLD ? null : filter.outcome }
    const rows = await store.list(reader.tenantId, stored, limit + 1, cursors.decode(scope, cursor))
    const { data, nextCursor } = toPage(
      rows,
      limit,
      (position) => cursors.encode(scope, position),
      ({ position }) => position,
    )
    return { data: data.map((line) => told(reader, line)), nextCursor }
  }
  return {
    /** Newest first. @throws invalid_request for a cursor of another list */
    list,
    /**
     * Up to `maxLines` in pages, each read as the former one is taken, and how it ended: without that last item the export is not
     * whole. @throws invalid_request for a cursor of another list
     */
    async *export(
      reader: Reader,
      filter: AuditFilter & { outcome?: string | undefined },
      maxLines: number,
      cursor: string | undefined,
    ): AsyncGenerator<ToldLine | ExportEnd> {
      let nextCursor: string | null = cursor ?? null
      for (let left = maxLines; left > 0; ) {
        const page = await list(reader, filter, Math.min(left, PAGE_LINES), nextCursor ?? undefined)
        yield* page.data
        nextCursor = page.nextCursor
        if (nextCursor === null) break
        left -= page.data.length
      }
      yield { nextCursor }
    },
  }
}

export type AuditTrail = ReturnType<typeof createAuditTrail>
