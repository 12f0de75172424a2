import { AUDIT_INSERT } from '../audit/audit-log.ts'
import { type Sql, statement } from '../lib/sql.ts'
import { NO_PERSON } from './person.ts'
import { KEPT_AT_ZOOM } from './store.ts'

/** A host and its grant as whoever wants to hand the pair out must know them. */
export interface HandOverState {
  grantId: string
  zoomAppId: string
  gen: bigint
  status: 'connected' | 'reconnect_required' | 'disconnected'
  statusReason: string | null
  refreshCt: Uint8Array | null
  accessCt: Uint8Array | null
  accessExpiresAt: Date | null
  leaseLeftSeconds: number
  isIntentOpen: boolean
  /** Another host or an organization links the grant. */
  isShared: boolean
  /** Its user took the grant away and gave it again through another tenant. */
  isConsentOld: boolean
  consentReason: string | null
  /** Somebody has consented after this host was linked, so lately that their link may be on its way. */
  isConnecting: boolean
}

export interface Forgetting {
  tenantId: string
  hostId: string
  grantId: string
  gen: bigint
  auditId: string
  actor: string
  requestId: string
  details: Record<string, string | number>
  /** The answer, sealed, and the row of the request's Idempotency-Key that keeps it. */
  answer: { rowId: string; status: number; sealed: Buffer } | null
}

// longer than what follows a consent takes: the question who it is, and the link
const CONNECTING = `interval '60 s'`

/** Anybody but the host `h` links its grant. */
const IS_SHARED = `(EXISTS (SELECT FROM hosts o WHERE o.grant_id = h.grant_id AND o.id <> h.id)
              OR EXISTS (SELECT FROM organizations o WHERE o.grant_id = h.grant_id))`
const IS_CONNECTING = `(g.connected_at > h.connected_at AND g.connected_at > now() - ${CONNECTING})`

const STATE = statement(
  'hand_over_state',
  `SELECT h.grant_id AS "grantId", g.zoom_app_id AS "zoomAppId", t.gen, t.status, t.status_reason AS "statusReason",
          t.refresh_ct AS "refreshCt", t.access_ct AS "accessCt", t.access_expires_at AS "accessExpiresAt",
          COALESCE(EXTRACT(EPOCH FROM t.lease_until - clock_timestamp()), 0)::float8 AS "leaseLeftSeconds",
          t.intent_gen IS NOT NULL AS "isIntentOpen", h.consent_epoch < t.consent_epoch AS "isConsentOld",
          t.consent_reason AS "consentReason", ${IS_SHARED} AS "isShared", ${IS_CONNECTING} AS "isConnecting"
     FROM hosts h JOIN grants g ON g.id = h.grant_id JOIN grant_tokens t ON t.grant_id = g.id
    WHERE h.tenant_id = $1 AND h.id = $2`,
)

/**
 * One commit: the tokens and the person's data go, the generation moves, the host goes with the mappings found for it, the audit
 * line is written and, where the request has an Idempotency-Key, its sealed answer is kept: once the pair is gone from here it
 * is in that answer, whatever dies next. Only on the generation that was opened, with no lease, no open intent and no other link.
 * It writes rows of three features: they must go together or not at all.
 */
const FORGET = statement(
  'hand_over_forget',
  `WITH h AS (
     SELECT id, tenant_id, external_user_id, grant_id, consent_epoch, connected_at FROM hosts
      WHERE tenant_id = $1 AND id = $2 AND grant_id = $3 FOR UPDATE),
   u AS (
     UPDATE grant_tokens t
        SET gen = t.gen + 1, status = 'disconnected', status_reason = NULL, refresh_ct = NULL, access_ct = NULL,
            access_expires_at = NULL, lease_until = NULL, lease_owner = $5
       FROM h, grants g
      WHERE t.grant_id = h.grant_id AND g.id = h.grant_id AND t.gen = $4 AND t.status = 'connected' AND t.intent_gen IS NULL
        AND (t.lease_until IS NULL OR t.lease_until < clock_timestamp())
        AND h.consent_epoch >= t.consent_epoch AND NOT ${IS_SHARED} AND NOT ${IS_CONNECTING}
     RETURNING t.grant_id),
   gone AS (DELETE FROM hosts USING u WHERE hosts.tenant_id = $1 AND hosts.id = $2),
   forgotten AS (
     DELETE FROM meetings m USING h, u
      WHERE m.tenant_id = h.tenant_id AND m.external_user_id = h.external_user_id AND m.source <> 'api'),
   person AS (UPDATE grants SET ${NO_PERSON} FROM u WHERE grants.id = u.grant_id),
   line AS (${AUDIT_INSERT} SELECT $6, $1, $7, 'host.released', $2, $8, $9 FROM u),
   kept AS (UPDATE idempotency_keys SET status = $11, response_ct = $12 FROM u WHERE id = $10)
   SELECT grant_id FROM u`,
)

/** Whether the forgetting with this audit line was committed although its answer was lost. */
const IS_DONE = statement('hand_over_is_done', 'SELECT id FROM audit_events WHERE tenant_id = $1 AND id = $2')

/** Reads and ends what `hand-over.ts` gives out. */
export function createHandOverStore(sql: Sql) {
  return {
    /** Null where the tenant has no such host. */
    async state(tenantId: string, hostId: string): Promise<HandOverState | null> {
      const [row] = await sql.rows<Omit<HandOverState, 'gen'> & { gen: string }>(STATE, [tenantId, hostId])
      return row ? { ...row, gen: BigInt(row.gen) } : null
    },
    /** False where anything has changed since it was looked at: then nothing is. */
    async forget(order: Forgetting): Promise<boolean> {
      const { tenantId, hostId, grantId, gen, auditId, actor, requestId, details, answer } = order
      const rows = await sql.rows(FORGET, [
        tenantId,
        hostId,
        grantId,
        gen,
        KEPT_AT_ZOOM,
        auditId,
        actor,
        requestId,
        JSON.stringify(details),
        answer?.rowId ?? null,
        answer?.status ?? null,
        answer?.sealed ?? null,
      ])
      return rows.length > 0
    },
    async isDone(tenantId: string, auditId: string): Promise<boolean> {
      return (await sql.rows(IS_DONE, [tenantId, auditId])).length > 0
    },
  }
}

export type HandOverStore = ReturnType<typeof createHandOverStore>
