import { type Sql, statement } from '../../lib/sql.ts'
import { ageOf } from '../../retention.ts'

/** An event that somebody has taken in hand. */
export interface ClaimedEvent {
  id: string
  zoomAppId: string
  payloadCt: Uint8Array
  receivedAt: Date
  /** This one included. */
  attempts: number
}

export interface NewEvent {
  id: string
  zoomAppId: string
  bodyHash: Buffer
  payloadCt: Buffer
  /** A deauthorisation does not wait behind a storm of meetings. */
  isUrgent: boolean
}

// more than an hour of the most that one app sends; beyond it Zoom is asked to come again
const MOST_WAITING = 50_000

/** One statement: the event is kept, or known already, or there is no room for it. */
const KEEP = statement(
  'zoom_event_keep',
  `WITH room AS (
     SELECT count(*) < ${MOST_WAITING} AS is_left
       FROM (SELECT FROM zoom_events WHERE processed_at IS NULL LIMIT ${MOST_WAITING}) waiting),
   kept AS (
     INSERT INTO zoom_events (id, zoom_app_id, body_hash, payload_ct, is_urgent)
     SELECT $1, $2, $3, $4, $5 FROM room WHERE is_left
     ON CONFLICT (zoom_app_id, body_hash) DO NOTHING RETURNING id)
   SELECT is_left AS "isRoom", EXISTS (SELECT FROM kept) AS "isNew" FROM room`,
)
const CLAIM = statement(
  'zoom_event_claim',
  `WITH mine AS (
     SELECT id FROM zoom_events
      WHERE processed_at IS NULL AND (claimed_until IS NULL OR claimed_until < now())
      ORDER BY is_urgent DESC, received_at LIMIT $1 FOR UPDATE SKIP LOCKED)
   UPDATE zoom_events e SET claimed_until = now() + interval '30 s', attempts = e.attempts + 1
     FROM mine WHERE e.id = mine.id
   RETURNING e.id, e.zoom_app_id AS "zoomAppId", e.payload_ct AS "payloadCt", e.received_at AS "receivedAt", e.attempts`,
)
/** What it said is personal data, and done with. */
const DONE = statement(
  'zoom_event_done',
  `UPDATE zoom_events SET processed_at = now(), outcome = $2, payload_ct = NULL, claimed_until = NULL WHERE id = $1`,
)
/** What it said stays sealed, until PURGE, for who mends what was in its way. */
const FAILED = statement(
  'zoom_event_failed',
  `UPDATE zoom_events SET processed_at = now(), outcome = 'failed', claimed_until = NULL WHERE id = $1`,
)
const LATER = statement(
  'zoom_event_later',
  `UPDATE zoom_events SET claimed_until = now() + $2 * interval '1 s' WHERE id = $1`,
)
// longer than Zoom repeats an event, or an old one could be taken for new
const PURGE = statement(
  'zoom_event_purge',
  `DELETE FROM zoom_events WHERE processed_at < now() - ${ageOf('zoom_events')}`,
)
const VALIDATED = statement('zoom_webhook_validated', `UPDATE zoom_apps SET webhook_validated_at = now() WHERE id = $1`)
/** Zoom validates an endpoint every 72 hours; one that it has never validated was never registered. */
const SILENT = statement(
  'zoom_webhook_silent',
  `SELECT id FROM zoom_apps WHERE webhook_validated_at < now() - interval '4 days'`,
)

export type InboxStore = ReturnType<typeof createInboxStore>

/** The one writer of `zoom_events`. Every function throws store_unavailable. */
export function createInboxStore(sql: Sql) {
  return {
    async keep({ id, zoomAppId, bodyHash, payloadCt, isUrgent }: NewEvent): Promise<'new' | 'known' | 'full'> {
      type Kept = { isRoom: boolean; isNew: boolean }
      const [row] = await sql.rows<Kept>(KEEP, [id, zoomAppId, bodyHash, payloadCt, isUrgent])
      if (!row?.isRoom) return 'full'
      return row.isNew ? 'new' : 'known'
    },
    claim: (limit: number): Promise<ClaimedEvent[]> => sql.rows<ClaimedEvent>(CLAIM, [limit]),
    done: (id: string, outcome: string) => sql.rows(DONE, [id, outcome]).then(() => undefined),
    failed: (id: string) => sql.rows(FAILED, [id]).then(() => undefined),
    later: (id: string, seconds: number) => sql.rows(LATER, [id, seconds]).then(() => undefined),
    purge: () => sql.rows(PURGE, []).then(() => undefined),
    noteValidation: (zoomAppId: string) => sql.rows(VALIDATED, [zoomAppId]).then(() => undefined),
    async silentApps(): Promise<string[]> {
      return (await sql.rows<{ id: string }>(SILENT, [])).map(({ id }) => id)
    },
  }
}
