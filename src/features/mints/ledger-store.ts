import { AppError } from '../../errors.ts'
import { createBatcher } from '../../lib/batcher.ts'
import { type MintSql, mintStatement, type Sql, statement } from '../../lib/sql.ts'
import { leastIdOf } from '../../retention.ts'
import { COLUMNS, OPEN_LENT, OPEN_PLAIN, OPEN_STATEMENTS, TARGET_NOW } from './open-statements.ts'

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
  /** Null for a pass of kind `access`. */
  meetingId: string | null
  /** Whether the pass is for tokens of this kind. */
  isOfPass: boolean
  windowMints: number
  turn: number
  boundTo: string | null
  isMapped: boolean
  host: Source | null
  organization: Source | null
  /** Hosts to act on behalf of, in order; null where one is not connected. Absent unless the pass names some. */
  candidates: (Source | null)[] | null
}

type TargetRow = Pick<OpenedRow, 'isMapped' | 'host' | 'organization'>

/** The host that a backend asked an access token of. */
export interface LentRow {
  host: Source
  scopes: string[]
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
const OPEN_PATIENCE_MS = 5 // a statement is back in one or two; one that waits for a lock must not hold up the others
const OPENS_WAITING = 5000
const OPEN_WAIT_MS = 2000 // what is left of a bot's patience after it would not be enough for Zoom
const OPENS_PER_STATEMENT = Math.max(...OPEN_STATEMENTS.map(({ size }) => size))

const MAX_INT4 = 2 ** 31 - 1

const SETTLE = mintStatement(
  'mint_settle',
  `UPDATE mints m
      SET outcome = u.outcome, reason = u.reason, zoom_status = u.zoom_status, zoom_code = u.zoom_code,
          duration_ms = u.duration_ms, host_id = COALESCE(u.host_id, m.host_id)
     FROM json_to_recordset($1::json)
       AS u (id uuid, outcome text, reason text, zoom_status int, zoom_code int, duration_ms int, host_id uuid)
    WHERE m.id = u.id`,
)

/** A refused authentication of a known pass: listed, at most 100 of them per pass. */
const REFUSED = mintStatement(
  'mint_refused',
  `WITH p AS (
     UPDATE passes SET refused_count = refused_count + 1 WHERE id = $1 AND refused_count < 100
     RETURNING id, tenant_id, meeting_id)
   INSERT INTO mints (id, tenant_id, pass_id, kind, meeting_id, outcome, reason, request_id, duration_ms)
   SELECT $2, tenant_id, id, $3, meeting_id, 'unauthenticated', $4, $5, 0 FROM p`,
)

/** $1 how many */
const PURGE = statement(
  'mints_purge',
  `DELETE FROM mints WHERE id IN (SELECT id FROM mints WHERE id < ${leastIdOf('mints')} ORDER BY id LIMIT $1) RETURNING 1`,
)
const PURGE_SEEN = statement('seen_purge', `DELETE FROM seen_webhook_ids WHERE seen_at < now() - $1 * interval '1 s'`)

/** The values of an open statement with room for `size` requests; what is left over is filled with nulls. */
function valuesOf(requests: OpenRequest[], size: number): (string | null)[] {
  const values: (string | null)[] = []
  for (const { passId, kind, webhookId, secretId, mintId, requestId } of requests)
    values.push(passId, kind, webhookId, secretId, mintId, requestId)
  while (values.length < size * COLUMNS.length) values.push(null)
  return values
}

export type LedgerStore = ReturnType<typeof createLedgerStore>

/** Writes `mints` and `seen_webhook_ids`, and in the same statement the counters of the pass (ADR 0007). */
export function createLedgerStore({ sql, mint }: { sql: Sql; mint: MintSql }) {
  async function openAll(requests: OpenRequest[]): Promise<(OpenedRow | null)[]> {
    const chosen = OPEN_STATEMENTS.find(({ size }) => size >= requests.length)
    if (!chosen) throw new Error('more mints than one statement opens')
    const values = valuesOf(requests, chosen.size)
    const rows = await mint.rows<OpenedRow & { mintId: string }>(chosen.statement, values)
    const byMint = new Map(rows.map((row) => [row.mintId, row]))
    return requests.map(({ mintId }) => byMint.get(mintId) ?? null)
  }
  /** Where Postgres refuses somebody's values it has opened nothing: each is tried alone, so that the others do not suffer. */
  async function openTogether(requests: OpenRequest[]): Promise<(OpenedRow | Error | null)[]> {
    try {
      return await openAll(requests)
    } catch (error) {
      if (error instanceof AppError || requests.length === 1) throw error // unavailable: who knows what was done
      const alone = (request: OpenRequest) => openAll([request]).then(([row]) => row ?? null)
      return await Promise.all(requests.map((request) => alone(request).catch((cause: Error) => cause)))
    }
  }
  const batcher = createBatcher<OpenRequest, OpenedRow | null>({
    run: openTogether,
    maxBatch: OPENS_PER_STATEMENT,
    maxAtOnce: OPENS_AT_ONCE,
    patienceMs: OPEN_PATIENCE_MS,
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
      const [row] = await mint.rows<OpenedRow>(OPEN_PLAIN, parameters)
      return row ?? null
    },
    /** Whom the map says now: nothing is opened. */
    async targetNow(tenantId: string, meetingId: string, kind: string): Promise<TargetRow> {
      const [row] = await mint.rows<TargetRow>(TARGET_NOW, [tenantId, meetingId, kind])
      return row as TargetRow
    },
    /** Null where the tenant has no such host. */
    async openLent(tenantId: string, hostId: string, mintId: string, requestId: string): Promise<LentRow | null> {
      const [row] = await mint.rows<LentRow>(OPEN_LENT, [tenantId, hostId, mintId, requestId])
      return row ?? null
    },
    async settle(batch: Settlement[]): Promise<void> {
      const rows = batch.map(({ id, outcome, reason, zoomStatus, zoomCode, durationMs, hostId }) => ({
        id,
        outcome,
        reason,
        zoom_status: zoomStatus,
        zoom_code: zoomCode !== null && Math.abs(zoomCode) <= MAX_INT4 ? zoomCode : null, // Zoom's, so any
        duration_ms: durationMs,
        host_id: hostId,
      }))
      await mint.rows(SETTLE, [JSON.stringify(rows)])
    },
    async recordRefusal(passId: string, mintId: string, kind: string, reason: string, requestId: string) {
      await mint.rows(REFUSED, [passId, mintId, kind, reason, requestId])
    },
    /** Some of the rows past their age; gives how many. */
    async purgeAcrossTenants(limit: number): Promise<number> {
      return (await sql.rows(PURGE, [limit])).length
    },
    async purgeSeenAcrossTenants(olderThanSeconds: number): Promise<void> {
      await sql.rows(PURGE_SEEN, [olderThanSeconds])
    },
  }
}
