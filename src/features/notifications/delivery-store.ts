import { type Sql, statement } from '../../lib/sql.ts'

/** A delivery as it may be shown. */
export interface Delivery {
  id: string
  endpointId: string
  eventId: string
  eventType: string
  status: 'pending' | 'delivered' | 'failed'
  attempts: number
  nextAttemptAt: Date | null
  lastAttemptAt: Date | null
  lastStatusCode: number | null
  lastError: string | null
  deliveredAt: Date | null
  createdAt: Date
}

/** An attempt just begun, with what is to be sent. */
export interface BegunAttempt {
  id: string
  endpointId: string
  /** This one included. */
  attempts: number
  eventId: string
  /** Since the event was filed for this endpoint. */
  ageSeconds: number
  /** Of the event: who sealed its body. */
  tenantId: string | null
  payloadCt: Uint8Array
}

/** How an attempt ended. */
export interface AttemptResult {
  statusCode: number | null
  error: string | null
}

export type DeliveryStore = ReturnType<typeof createDeliveryStore>

// longer than an attempt may take: after a kill somebody else may begin the next one then
const ATTEMPT = '30 seconds'
const LEAST_PAUSE = '1 minute'

const COLUMNS = `
  d.id, d.endpoint_id AS "endpointId", d.event_id AS "eventId", e.type AS "eventType", d.status, d.attempts,
  CASE WHEN d.status = 'pending' THEN d.next_attempt_at END AS "nextAttemptAt", d.last_attempt_at AS "lastAttemptAt",
  d.last_status_code AS "lastStatusCode", d.last_error AS "lastError", d.delivered_at AS "deliveredAt",
  d.created_at AS "createdAt"`

const BEGIN = statement(
  'webhook_delivery_begin',
  `UPDATE webhook_deliveries d
      SET attempts = d.attempts + 1, attempting_until = now() + interval '${ATTEMPT}', last_attempt_at = now()
     FROM webhook_events e
    WHERE d.id = $1 AND e.id = d.event_id AND d.status = 'pending' AND d.next_attempt_at <= now()
      AND (d.attempting_until IS NULL OR d.attempting_until < now()) AND e.payload_ct IS NOT NULL
   RETURNING d.id, d.endpoint_id AS "endpointId", d.attempts, d.event_id AS "eventId", e.tenant_id AS "tenantId",
             EXTRACT(EPOCH FROM now() - d.created_at)::float8 AS "ageSeconds", e.payload_ct AS "payloadCt"`,
)
const DELIVERED = statement(
  'webhook_delivery_delivered',
  `UPDATE webhook_deliveries
      SET status = 'delivered', delivered_at = now(), attempting_until = NULL, last_status_code = $2, last_error = NULL
    WHERE id = $1 AND status = 'pending'`,
)
const ANSWERS_AGAIN = statement(
  'webhook_deliveries_answers_again',
  `UPDATE webhook_deliveries
      SET next_attempt_at = GREATEST(now(), last_attempt_at + interval '${LEAST_PAUSE}'), enqueued_at = NULL
    WHERE endpoint_id = $1 AND status = 'pending'
      AND next_attempt_at > now() AND next_attempt_at > GREATEST(now(), last_attempt_at + interval '${LEAST_PAUSE}')`,
)
const PUT_OFF = statement(
  'webhook_deliveries_put_off',
  `UPDATE webhook_deliveries SET next_attempt_at = now() + $2::float8 * interval '1 s', enqueued_at = NULL
    WHERE endpoint_id = $1 AND status = 'pending' AND attempting_until IS NULL
      AND next_attempt_at < now() + $2::float8 * interval '1 s'`,
)
/** $2 after how many seconds again; null: never */
const FAIL = statement(
  'webhook_delivery_fail',
  `UPDATE webhook_deliveries
      SET status = CASE WHEN $2::float8 IS NULL THEN 'failed' ELSE 'pending' END, attempting_until = NULL, enqueued_at = NULL,
          next_attempt_at = now() + COALESCE($2::float8, 0) * interval '1 s', last_status_code = $3, last_error = $4
    WHERE id = $1 AND status = 'pending'`,
)
/** $1 owner, $2 endpoint, $3 status or null, $4 how many, $5 after which */
const LIST = statement(
  'webhook_deliveries_list',
  `SELECT ${COLUMNS} FROM webhook_deliveries d JOIN webhook_events e ON e.id = d.event_id
    WHERE d.tenant_id IS NOT DISTINCT FROM $1::uuid AND d.endpoint_id = $2
      AND ($3::text IS NULL OR d.status = $3) AND ($5::uuid IS NULL OR d.id < $5)
    ORDER BY d.id DESC LIMIT $4`,
)
/** $1 owner, $2 endpoint, $3 delivery */
const RESTART = statement(
  'webhook_delivery_restart',
  `UPDATE webhook_deliveries d
      SET status = 'pending', attempts = 0, next_attempt_at = now(), enqueued_at = NULL, delivered_at = NULL
     FROM webhook_events e
    WHERE d.tenant_id IS NOT DISTINCT FROM $1::uuid AND d.endpoint_id = $2 AND d.id = $3 AND e.id = d.event_id
   RETURNING ${COLUMNS}`,
)

/**
 * The one writer of `webhook_deliveries` once they are filed. What the operator's endpoint is told is of any tenant: all of it is done
 * across tenants, by the delivery's id or by owner and endpoint.
 */
export function createDeliveryStore(sql: Sql) {
  return {
    /** Null where it is not due, or somebody else is at it: a job may come twice or late. */
    async begin(deliveryId: string): Promise<BegunAttempt | null> {
      const [begun] = await sql.rows<BegunAttempt>(BEGIN, [deliveryId])
      return begun ?? null
    },
    /**
     * Delivered. What else waits for this endpoint to answer again need wait no longer; what was refused just now waits a minute at
     * least, or an event that its receiver always refuses would be asked with every other that it takes.
     */
    async succeed(
      { id, endpointId }: { id: string; endpointId: string },
      { statusCode }: AttemptResult,
    ): Promise<void> {
      await sql.rows(DELIVERED, [id, statusCode])
      await sql.rows(ANSWERS_AGAIN, [endpointId])
    },
    /** An endpoint that does not answer is asked nothing for a while. No attempt of what waits for it is counted. */
    async putOff(endpointId: string, seconds: number): Promise<void> {
      await sql.rows(PUT_OFF, [endpointId, seconds])
    },
    /** Not delivered: once more after so long, or not again where `retrySeconds` is null. */
    async fail(id: string, { statusCode, error }: AttemptResult, retrySeconds: number | null): Promise<void> {
      await sql.rows(FAIL, [id, retrySeconds, statusCode, error])
    },
    list: (
      owner: string | null,
      endpointId: string,
      status: string | undefined,
      limit: number,
      afterId: string | null,
    ): Promise<Delivery[]> => sql.rows<Delivery>(LIST, [owner, endpointId, status ?? null, limit, afterId]),
    /** From the start, whatever became of it before. Null where the endpoint has no such delivery. */
    async restart(owner: string | null, endpointId: string, id: string): Promise<Delivery | null> {
      const [row] = await sql.rows<Delivery>(RESTART, [owner, endpointId, id])
      return row ?? null
    },
  }
}
