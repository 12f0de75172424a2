import { eitherOf, mintStatement } from '../../lib/sql.ts'

const sourceJson = (view: string) =>
  `json_build_object('id', ${view}.id, 'grantId', ${view}.grant_id, 'status', ${view}.status,
     'statusReason', ${view}.status_reason, 'gen', ${view}.gen::text,
     'accessLifeSeconds', EXTRACT(EPOCH FROM ${view}.access_expires_at - clock_timestamp())::float8)`

/**
 * Who can open a meeting's door, for rows `p` with tenant_id and meeting_id: the mapped host, and an organization. Where `p` has
 * no meeting, its external_user_id is the host.
 */
const targetOf = (kind: string) => `
  t AS (
    SELECT p.*, (mt.id IS NOT NULL) AS is_mapped, h.id AS host_id,
           CASE WHEN h.id IS NULL THEN NULL ELSE ${sourceJson('h')} END AS host,
           CASE WHEN o.id IS NULL THEN NULL ELSE ${sourceJson('o')} END AS organization
      FROM p
      LEFT JOIN meetings mt ON mt.tenant_id = p.tenant_id AND mt.meeting_id = p.meeting_id
      LEFT JOIN host_states h ON h.tenant_id = p.tenant_id
        AND h.external_user_id = ${eitherOf('p.external_user_id', 'mt.external_user_id')}
      LEFT JOIN LATERAL (
        SELECT * FROM organization_states os
         WHERE os.tenant_id = p.tenant_id AND os.organization_account_id = os.zoom_account_id
           AND (os.id = mt.organization_id OR (mt.organization_id IS NULL AND os.organization_account_id = h.zoom_account_id))
         LIMIT 1) o ON ${kind} = 'join')`

/** Whether the secret that held still serves the tenant: its own by row, the environment's where it has none of its own. */
const servedBy = (tenant: string, secretId: string) =>
  `CASE WHEN ${secretId}::uuid IS NOT NULL
        THEN EXISTS (SELECT FROM recall_secrets s WHERE s.id = ${secretId} AND s.tenant_id = ${tenant})
        ELSE NOT EXISTS (SELECT FROM recall_secrets s WHERE s.tenant_id = ${tenant}) END`

/** Of one request: pass, kind, webhook id (null: observed without signature), secret row (null: the environment's), mint, request. */
export const COLUMNS = ['uuid', 'text', 'text', 'uuid', 'uuid', 'text']
const rowAt = (index: number) =>
  COLUMNS.map((type, column) => `$${index * COLUMNS.length + column + 1}::${type}`).join(', ')

/**
 * The one statement of a mint, for up to `size` requests that came in while the one before it ran; rows of nulls fill it up. It
 * reads each pass and the matched secret again (one revoked in between opens nothing), counts the pass's hour, binds the webhook
 * ids, and opens a ledger row per request; no token leaves without its row. Passes are locked and ids inserted in one order, so
 * that two such statements wait for each other and never deadlock.
 * A VALUES list and not arrays: of an array's length Postgres knows nothing before it is bound, takes one plan for all to be
 * worse than a plan for each, and then plans at every mint, which costs five times what the mint does. `n` is materialized since
 * Postgres would count it again for every row of `passes` that it looks at.
 */
const openStatement = (size: number) =>
  mintStatement(
    `mint_open_${size}`,
    `WITH q (pass_id, kind, webhook_id, secret_id, mint_id, request_id) AS (
     VALUES ${Array.from({ length: size }, (_, index) => `(${rowAt(index)})`).join(', ')}),
   l AS (SELECT id, tenant_id FROM passes WHERE id IN (SELECT pass_id FROM q) ORDER BY id FOR NO KEY UPDATE),
   ok AS (
     SELECT q.*, row_number() OVER (PARTITION BY q.pass_id ORDER BY q.mint_id) AS place,
            count(*) FILTER (WHERE q.kind = 'obf') OVER (PARTITION BY q.pass_id ORDER BY q.mint_id) AS obf_place
       FROM q JOIN l ON l.id = q.pass_id
      WHERE CASE WHEN q.webhook_id IS NULL
                 THEN EXISTS (SELECT FROM recall_workspaces w WHERE w.tenant_id = l.tenant_id
                               AND w.signature_mode = 'observe' AND w.observe_until > now())
                 ELSE ${servedBy('l.tenant_id', 'q.secret_id')} END),
   n AS MATERIALIZED (
     SELECT pass_id, count(*)::int AS mints, count(*) FILTER (WHERE kind = 'obf')::int AS obf FROM ok GROUP BY pass_id),
   u AS (
     UPDATE passes
        SET window_started_at = CASE WHEN window_started_at > now() - interval '1 hour' THEN window_started_at ELSE now() END,
            window_mints = n.mints + (CASE WHEN window_started_at > now() - interval '1 hour' THEN window_mints ELSE 0 END),
            obf_turn = obf_turn + n.obf
       FROM n
      WHERE passes.id = n.pass_id AND revoked_at IS NULL AND expires_at > now()
     RETURNING passes.id, tenant_id, meeting_id, external_user_id, kinds, on_behalf_of, window_mints - n.mints AS mints_before,
               obf_turn - n.obf AS turn_before),
   p AS (
     SELECT ok.*, u.tenant_id, u.meeting_id, u.external_user_id, u.kinds, u.on_behalf_of, (u.mints_before + ok.place)::int AS window_mints,
            (u.turn_before + ok.obf_place - 1)::int AS turn
       FROM ok JOIN u ON u.id = ok.pass_id),
   ${targetOf('p.kind')},
   b AS (
     INSERT INTO seen_webhook_ids (webhook_id, bound_to)
     SELECT DISTINCT ON (webhook_id) webhook_id, 'pass:' || pass_id FROM p WHERE webhook_id IS NOT NULL
      ORDER BY webhook_id, mint_id
     ON CONFLICT (webhook_id) DO UPDATE SET webhook_id = excluded.webhook_id
     RETURNING webhook_id, bound_to),
   m AS (
     INSERT INTO mints (id, tenant_id, pass_id, host_id, kind, meeting_id, request_id)
     SELECT mint_id, tenant_id, pass_id, host_id, kind, meeting_id, request_id FROM t)
   SELECT t.mint_id AS "mintId", t.tenant_id AS "tenantId", t.pass_id AS "passId", t.meeting_id AS "meetingId",
          t.kind = ANY (t.kinds) AS "isOfPass",
          t.window_mints AS "windowMints", t.turn, t.is_mapped AS "isMapped", t.host, t.organization, b.bound_to AS "boundTo",
          CASE WHEN t.kind = 'obf' AND cardinality(t.on_behalf_of) > 0 THEN (
            SELECT json_agg(CASE WHEN c.id IS NULL THEN NULL ELSE ${sourceJson('c')} END ORDER BY o.place)
              FROM unnest(t.on_behalf_of) WITH ORDINALITY AS o (external_user_id, place)
              LEFT JOIN host_states c ON c.tenant_id = t.tenant_id AND c.external_user_id = o.external_user_id)
          END AS candidates
     FROM t LEFT JOIN b ON b.webhook_id = t.webhook_id`,
  )

/** Smallest first; few, since each connection prepares and plans each of them. */
export const OPEN_STATEMENTS = [1, 4, 16].map((size) => ({ size, statement: openStatement(size) }))

/**
 * The same for one plain callback URL, which has no pass: bound to its meeting.
 * $1 tenant, $2 kind, $3 webhook id, $4 secret row, $5 mint, $6 request, $7 meeting
 */
export const OPEN_PLAIN = mintStatement(
  'mint_open_plain',
  `WITH p AS (
     SELECT id AS tenant_id, $7::text AS meeting_id, NULL::text AS external_user_id
       FROM tenants WHERE id = $1 AND ${servedBy('tenants.id', '$4')}),
   ${targetOf('$2')},
   b AS (
     INSERT INTO seen_webhook_ids (webhook_id, bound_to) SELECT $3, 'meeting:' || meeting_id FROM p
     ON CONFLICT (webhook_id) DO UPDATE SET webhook_id = excluded.webhook_id
     RETURNING bound_to),
   m AS (
     INSERT INTO mints (id, tenant_id, host_id, kind, meeting_id, request_id)
     SELECT $5, tenant_id, host_id, $2, meeting_id, $6 FROM t)
   SELECT t.tenant_id AS "tenantId", NULL AS "passId", t.meeting_id AS "meetingId", $2 IN ('join', 'obf') AS "isOfPass",
          0 AS "windowMints", 0 AS turn, t.is_mapped AS "isMapped", t.host, t.organization,
          (SELECT bound_to FROM b) AS "boundTo", NULL AS candidates
     FROM t`,
)

/** Who can open the door now, for a mint that is open already. $1 tenant, $2 meeting, $3 kind */
export const TARGET_NOW = mintStatement(
  'mint_target_now',
  `WITH p AS (SELECT $1::uuid AS tenant_id, $2::text AS meeting_id, NULL::text AS external_user_id),
   ${targetOf('$3::text')}
   SELECT is_mapped AS "isMapped", host, organization FROM t`,
)

/** The same for a backend's own call, which has neither pass nor meeting. $1 tenant, $2 host, $3 mint, $4 request */
export const OPEN_LENT = mintStatement(
  'mint_open_lent',
  `WITH h AS (SELECT * FROM host_states WHERE tenant_id = $1 AND id = $2),
   m AS (
     INSERT INTO mints (id, tenant_id, host_id, kind, request_id) SELECT $3, tenant_id, id, 'access', $4 FROM h)
   SELECT ${sourceJson('h')} AS host, h.scopes FROM h`,
)
