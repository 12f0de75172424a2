import { createBatcher } from '../../lib/batcher.ts'
import { type Sql, statement } from '../../lib/sql.ts'
import { OPEN_PLAIN, OPEN_STATEMENTS } from './open-statements.ts'

/** A host or organization as a mint needs it. */
export interface Source {
  id: string
  grantId: string
  status: 'connected' | 'reconnect_required' | 'blocked'
  statusReason: string | null
  gen: string
  accessLifeSeconds: number | null
}

/** What one statement read while it bound the request's id and opened the ledger's row. */
export interface OpenedRow {
  tenantId: string
  passId: string | null
  meetingId: string
  kinds: string[]
  windowMints: number
  turn: number
  boundTo: string | null
  isMapped: boolean
  host: Source | null
  organization: Source | null
  /** Hosts to act on behalf of, in order; null where one is not connected. Absent unless the pass names some. */
  candidates: (Source | null)[] | null
}

export interface Settlement {
  id: string
  outcome: string
  reason: string | null
  zoomStatus: number | null
  zoomCode: number | null
  durationMs: number
  hostId: string | null
}

export interface OpenRequest {
  passId: string
  kind: string
  webhookId: string | null
  secretId: string | null
  mintId: string
  requestId: string
}

// few enough to leave connections for everything else, and a batch small enough to answer in milliseconds
const OPENS_AT_ONCE = 3
const OPENS_WAITING = 5000
const OPEN_WAIT_MS = 2000 // what is left of a bot's patience after it would not be enough for Zoom
const OPENS_PER_STATEMENT = Math.max(...OPEN_STATEMENTS.map(({ size }) => size))

const MAX_INT4 = 2 ** 31 - 1

const SETTLE = statement(
  'mint_settle',
  `UPDATE mints m
      SET outcome = u.outcome, reason = u.reason, zoom_status = u.zoom_status, zoom_code = u.zoom_code,
          duration_ms = u.duration_ms, host_id = COALESCE(u.host_id, m.host_id)
     FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::int[], $6::int[], $7::uuid[])
       AS u (id, outcome, reason, zoom_status, zoom_code, duration_ms, host_id)
    WHERE m.id = u.id`,
)

/** A refused authentication of a known pass: listed, at most 100 of them per pass. */
const REFUSED = statement(
  'mint_refused',
  `WITH p AS (
     UPDATE passes SET refused_count = refused_count + 1 WHERE id = $1 AND refused_count < 100
     RETURNING id, tenant_id, meeting_id)
   INSERT INTO mints (id, tenant_id, pass_id, kind, meeting_id, outcome, reason, request_id, duration_ms)
   SELECT $2, tenant_id, id, $3, meeting_id, 'unauthenticated', $4, $5, 0 FROM p`,
)

const PURGE_SEEN = statement('seen_purge', `DELETE FROM seen_webhook_ids WHERE seen_at < now() - $1 * interval '1 s'`)

const valuesOf = (request: OpenRequest | undefined) => {
  if (!request) return [null, null, null, null, null, null]
  const { passId, kind, webhookId, secretId, mintId, requestId } = request
  return [passId, kind, webhookId, secretId, mintId, requestId]
}

export type LedgerStore = ReturnType<typeof createLedgerStore>

/** Writes `mints` and `seen_webhook_ids`, and in the same statement the counters of the pass (ADR 0007). */
export function createLedgerStore(sql: Sql) {
  async function openAll(requests: OpenRequest[]): Promise<(OpenedRow | null)[]> {
    const chosen = OPEN_STATEMENTS.find(({ size }) => size >= requests.length)
    if (!chosen) throw new Error('more mints than one statement opens')
    const values = Array.from({ length: chosen.size }, (_, index) => valuesOf(requests[index])).flat()
    const rows = await sql.rows<OpenedRow & { mintId: string }>(chosen.statement, values)
    const byMint = new Map(rows.map(({ mintId, ...row }) => [mintId, row]))
    return requests.map(({ mintId }) => byMint.get(mintId) ?? null)
  }
  const batcher = createBatcher({
    run: openAll,
    maxBatch: OPENS_PER_STATEMENT,
    maxAtOnce: OPENS_AT_ONCE,
    maxWaiting: OPENS_WAITING,
    maxWaitMs: OPEN_WAIT_MS,
  })
  return {
    /** Null where the pass or the secret was revoked in between. Requests that come in together share a statement. */
    open: (request: OpenRequest): Promise<OpenedRow | null> => batcher.add(request),
    async openPlain(values: {
      tenantId: string
      kind: string
      webhookId: string
      secretId: string | null
      mintId: string
      requestId: string
      meetingId: string
    }): Promise<OpenedRow | null> {
      const { tenantId, kind, webhookId, secretId, mintId, requestId, meetingId } = values
      const parameters = [tenantId, kind, webhookId, secretId, mintId, requestId, meetingId]
      const [row] = await sql.rows<OpenedRow>(OPEN_PLAIN, parameters)
      return row ?? null
    },
    async settle(batch: Settlement[]): Promise<void> {
      const column = <Key extends keyof Settlement>(key: Key) => batch.map((settlement) => settlement[key])
      await sql.rows(SETTLE, [
        column('id'),
        column('outcome'),
        column('reason'),
        column('zoomStatus'),
        column('zoomCode').map((code) => (code !== null && Math.abs(code) <= MAX_INT4 ? code : null)), // Zoom's, so any
        column('durationMs'),
        column('hostId'),
      ])
    },
    async recordRefusal(passId: string, mintId: string, kind: string, reason: string, requestId: string) {
      await sql.rows(REFUSED, [passId, mintId, kind, reason, requestId])
    },
    async purgeSeenAcrossTenants(olderThanSeconds: number): Promise<void> {
      await sql.rows(PURGE_SEEN, [olderThanSeconds])
    },
  }
}
