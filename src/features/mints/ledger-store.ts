import { type Sql, statement } from '../../lib/sql.ts'

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

const sourceJson = (view: string) =>
  `json_build_object('id', ${view}.id, 'grantId', ${view}.grant_id, 'status', ${view}.status,
     'statusReason', ${view}.status_reason, 'gen', ${view}.gen::text,
     'accessLifeSeconds', EXTRACT(EPOCH FROM ${view}.access_expires_at - clock_timestamp())::float8)`

/** Who can open this meeting's door, for one row `p` of (tenant_id, meeting_id): the mapped host, and an organization. */
const TARGET = `
  t AS (
    SELECT p.*, (mt.id IS NOT NULL) AS is_mapped, h.id AS host_id,
           CASE WHEN h.id IS NULL THEN NULL ELSE ${sourceJson('h')} END AS host,
           CASE WHEN o.id IS NULL THEN NULL ELSE ${sourceJson('o')} END AS organization
      FROM p
      LEFT JOIN meetings mt ON mt.tenant_id = p.tenant_id AND mt.meeting_id = p.meeting_id
      LEFT JOIN host_states h ON h.tenant_id = p.tenant_id AND h.external_user_id = mt.external_user_id
      LEFT JOIN LATERAL (
        SELECT * FROM organization_states os
         WHERE os.tenant_id = p.tenant_id
           AND (os.id = mt.organization_id OR (mt.organization_id IS NULL AND os.organization_account_id = h.zoom_account_id))
         LIMIT 1) o ON $2 = 'join')`

/** Whether the secret that held still serves the tenant: its own by row, the environment's where it has none of its own. */
const servedBy = (tenant: string, secretId: string) =>
  `CASE WHEN ${secretId}::uuid IS NOT NULL
        THEN EXISTS (SELECT FROM recall_secrets s WHERE s.id = ${secretId} AND s.tenant_id = ${tenant})
        ELSE NOT EXISTS (SELECT FROM recall_secrets s WHERE s.tenant_id = ${tenant}) END`

/**
 * The one statement of a mint. It reads the pass and the matched secret again (one revoked in between opens nothing), counts
 * the pass's hour, binds the webhook id, and opens the ledger's row; no token leaves without it.
 * $1 pass, $2 kind, $3 webhook id (null: observed without signature), $4 secret row (null: the environment's), $5 mint, $6 request
 */
const OPEN = statement(
  'mint_open',
  `WITH p AS (
     UPDATE passes
        SET window_started_at = CASE WHEN window_started_at > now() - interval '1 hour' THEN window_started_at ELSE now() END,
            window_mints = CASE WHEN window_started_at > now() - interval '1 hour' THEN window_mints + 1 ELSE 1 END,
            obf_turn = obf_turn + (CASE WHEN $2 = 'obf' THEN 1 ELSE 0 END)
      WHERE id = $1 AND revoked_at IS NULL AND expires_at > now()
        AND CASE WHEN $3::text IS NULL
                 THEN EXISTS (SELECT FROM recall_workspaces w WHERE w.tenant_id = passes.tenant_id
                               AND w.signature_mode = 'observe' AND w.observe_until > now())
                 ELSE ${servedBy('passes.tenant_id', '$4')} END
     RETURNING id AS pass_id, tenant_id, meeting_id, kinds, on_behalf_of, window_mints, obf_turn - 1 AS turn),
   ${TARGET},
   b AS (
     INSERT INTO seen_webhook_ids (webhook_id, bound_to) SELECT $3, 'pass:' || pass_id FROM p WHERE $3::text IS NOT NULL
     ON CONFLICT (webhook_id) DO UPDATE SET webhook_id = excluded.webhook_id
     RETURNING bound_to),
   m AS (
     INSERT INTO mints (id, tenant_id, pass_id, host_id, kind, meeting_id, request_id)
     SELECT $5, tenant_id, pass_id, host_id, $2, meeting_id, $6 FROM t)
   SELECT t.tenant_id AS "tenantId", t.pass_id AS "passId", t.meeting_id AS "meetingId", t.kinds,
          t.window_mints AS "windowMints", t.turn, t.is_mapped AS "isMapped", t.host, t.organization,
          (SELECT bound_to FROM b) AS "boundTo",
          CASE WHEN $2 = 'obf' AND cardinality(t.on_behalf_of) > 0 THEN (
            SELECT json_agg(CASE WHEN c.id IS NULL THEN NULL ELSE ${sourceJson('c')} END ORDER BY u.place)
              FROM unnest(t.on_behalf_of) WITH ORDINALITY AS u (external_user_id, place)
              LEFT JOIN host_states c ON c.tenant_id = t.tenant_id AND c.external_user_id = u.external_user_id)
          END AS candidates
     FROM t`,
)

/** The same for a plain callback URL, which has no pass: bound to its meeting. $1 tenant, $7 meeting, the rest as above. */
const OPEN_PLAIN = statement(
  'mint_open_plain',
  `WITH p AS (
     SELECT id AS tenant_id, $7::text AS meeting_id FROM tenants WHERE id = $1 AND ${servedBy('tenants.id', '$4')}),
   ${TARGET},
   b AS (
     INSERT INTO seen_webhook_ids (webhook_id, bound_to) SELECT $3, 'meeting:' || meeting_id FROM p
     ON CONFLICT (webhook_id) DO UPDATE SET webhook_id = excluded.webhook_id
     RETURNING bound_to),
   m AS (
     INSERT INTO mints (id, tenant_id, host_id, kind, meeting_id, request_id)
     SELECT $5, tenant_id, host_id, $2, meeting_id, $6 FROM t)
   SELECT t.tenant_id AS "tenantId", NULL AS "passId", t.meeting_id AS "meetingId", ARRAY['join', 'obf'] AS kinds,
          0 AS "windowMints", 0 AS turn, t.is_mapped AS "isMapped", t.host, t.organization,
          (SELECT bound_to FROM b) AS "boundTo", NULL AS candidates
     FROM t`,
)

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

export type LedgerStore = ReturnType<typeof createLedgerStore>

/** Writes `mints` and `seen_webhook_ids`, and in the same statement the counters of the pass (ADR 0007). */
export function createLedgerStore(sql: Sql) {
  return {
    async open(values: {
      passId: string
      kind: string
      webhookId: string | null
      secretId: string | null
      mintId: string
      requestId: string
    }): Promise<OpenedRow | null> {
      const { passId, kind, webhookId, secretId, mintId, requestId } = values
      const [row] = await sql.rows<OpenedRow>(OPEN, [passId, kind, webhookId, secretId, mintId, requestId])
      return row ?? null
    },
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
