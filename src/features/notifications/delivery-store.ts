import { Prisma, type PrismaClient } from '../../generated/prisma/client.ts'

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

const COLUMNS = Prisma.sql`
  d.id, d.endpoint_id AS "endpointId", d.event_id AS "eventId", e.type AS "eventType", d.status, d.attempts,
  CASE WHEN d.status = 'pending' THEN d.next_attempt_at END AS "nextAttemptAt", d.last_attempt_at AS "lastAttemptAt",
  d.last_status_code AS "lastStatusCode", d.last_error AS "lastError", d.delivered_at AS "deliveredAt",
  d.created_at AS "createdAt"`

/** The one writer of `webhook_deliveries` once they are filed. */
export function createDeliveryStore(db: PrismaClient) {
  return {
    /** Null where it is not due, or somebody else is at it: a job may come twice or late. */
    async begin(deliveryId: string): Promise<BegunAttempt | null> {
      const [begun] = await db.$queryRaw<BegunAttempt[]>`
        UPDATE webhook_deliveries d
           SET attempts = d.attempts + 1, attempting_until = now() + ${ATTEMPT}::interval, last_attempt_at = now()
          FROM webhook_events e
         WHERE d.id = ${deliveryId}::uuid AND e.id = d.event_id AND d.status = 'pending' AND d.next_attempt_at <= now()
           AND (d.attempting_until IS NULL OR d.attempting_until < now()) AND e.payload_ct IS NOT NULL
        RETURNING d.id, d.endpoint_id AS "endpointId", d.attempts, d.event_id AS "eventId", e.tenant_id AS "tenantId",
                  EXTRACT(EPOCH FROM now() - d.created_at)::float8 AS "ageSeconds", e.payload_ct AS "payloadCt"`
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
      await db.$executeRaw`
        UPDATE webhook_deliveries
           SET status = 'delivered', delivered_at = now(), attempting_until = NULL, last_status_code = ${statusCode},
               last_error = NULL
         WHERE id = ${id}::uuid AND status = 'pending'`
      await db.$executeRaw`
        UPDATE webhook_deliveries SET next_attempt_at = GREATEST(now(), last_attempt_at + ${LEAST_PAUSE}::interval), enqueued_at = NULL
         WHERE endpoint_id = ${endpointId}::uuid AND status = 'pending'
           AND next_attempt_at > now() AND next_attempt_at > GREATEST(now(), last_attempt_at + ${LEAST_PAUSE}::interval)`
    },
    /** An endpoint that does not answer is asked nothing for a while. No attempt of what waits for it is counted. */
    async putOff(endpointId: string, seconds: number): Promise<void> {
      await db.$executeRaw`
        UPDATE webhook_deliveries SET next_attempt_at = now() + ${seconds}::float8 * interval '1 s', enqueued_at = NULL
         WHERE endpoint_id = ${endpointId}::uuid AND status = 'pending' AND attempting_until IS NULL
           AND next_attempt_at < now() + ${seconds}::float8 * interval '1 s'`
    },
    /** Not delivered: once more after so long, or not again where `retrySeconds` is null. */
    async fail(id: string, { statusCode, error }: AttemptResult, retrySeconds: number | null): Promise<void> {
      await db.$executeRaw`
        UPDATE webhook_deliveries
           SET status = ${retrySeconds === null ? 'failed' : 'pending'}, attempting_until = NULL, enqueued_at = NULL,
               next_attempt_at = now() + ${retrySeconds ?? 0}::float8 * interval '1 s', last_status_code = ${statusCode},
               last_error = ${error}
         WHERE id = ${id}::uuid AND status = 'pending'`
    },
    list: (
      endpointId: string,
      status: string | undefined,
      limit: number,
      afterId: string | null,
    ): Promise<Delivery[]> =>
      db.$queryRaw<Delivery[]>`
        SELECT ${COLUMNS} FROM webhook_deliveries d JOIN webhook_events e ON e.id = d.event_id
         WHERE d.endpoint_id = ${endpointId}::uuid
           ${status === undefined ? Prisma.empty : Prisma.sql`AND d.status = ${status}`}
           ${afterId === null ? Prisma.empty : Prisma.sql`AND d.id < ${afterId}::uuid`}
         ORDER BY d.id DESC LIMIT ${limit}`,
    /** From the start, whatever became of it before. Null where the endpoint has no such delivery. */
    async restart(endpointId: string, id: string): Promise<Delivery | null> {
      const [row] = await db.$queryRaw<Delivery[]>`
        UPDATE webhook_deliveries d
           SET status = 'pending', attempts = 0, next_attempt_at = now(), enqueued_at = NULL, delivered_at = NULL
          FROM webhook_events e
         WHERE d.id = ${id}::uuid AND d.endpoint_id = ${endpointId}::uuid AND e.id = d.event_id
        RETURNING ${COLUMNS}`
      return row ?? null
    },
  }
}
