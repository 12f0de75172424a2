import type { Db } from 'pg-boss'
import type { PrismaClient } from '../../generated/prisma/client.ts'
import { uuidv7 } from '../../lib/ids.ts'
import { type Sql, statement } from '../../lib/sql.ts'
import { ageOf } from '../../retention.ts'

/** An event as a trigger wrote it: what became true, in ids and codes. */
export interface OutboxEvent {
  id: string
  /** Null: of no tenant. */
  tenantId: string | null
  type: string
  subjectId: string
  facts: Record<string, unknown>
  createdAt: Date
}

/** An attempt that is due, for the endpoint it goes to. */
export interface DueDelivery {
  id: string
  endpointId: string
}

export type OutboxStore = ReturnType<typeof createOutboxStore>

// longer than composing a batch takes; after a kill somebody else goes on then
const CLAIM = '30 seconds'
// what a job should have begun long ago has lost its job: another one is filed
const LOST = '10 minutes'

const CLAIM_EVENTS = statement(
  'webhook_events_claim',
  `WITH mine AS (
     SELECT id FROM webhook_events
      WHERE dispatched_at IS NULL AND (claimed_until IS NULL OR claimed_until < now())
      ORDER BY claimed_until NULLS FIRST, position LIMIT $1 FOR UPDATE SKIP LOCKED)
   UPDATE webhook_events e SET claimed_until = now() + interval '${CLAIM}' FROM mine WHERE e.id = mine.id
   RETURNING e.id, e.tenant_id AS "tenantId", e.type, e.subject_id AS "subjectId", e.facts, e.created_at AS "createdAt"`,
)
/**
 * An endpoint that was deleted meanwhile is nobody to tell: its foreign key would fail the others' deliveries too.
 * $1 event, $2 its body, $3 endpoints, $4 an id for the delivery to each
 */
const DISPATCH = statement(
  'webhook_event_dispatch',
  `WITH ours AS (
     UPDATE webhook_events SET dispatched_at = now(), payload_ct = $2, facts = '{}'
      WHERE id = $1 AND dispatched_at IS NULL RETURNING id),
   living AS (
     SELECT id, tenant_id FROM webhook_endpoints WHERE id = ANY ($3::uuid[]) ORDER BY id FOR KEY SHARE)
   INSERT INTO webhook_deliveries (id, tenant_id, endpoint_id, event_id)
   SELECT n.id, living.tenant_id, living.id, ours.id
     FROM ours CROSS JOIN living JOIN unnest($3::uuid[], $4::uuid[]) AS n (endpoint_id, id) ON n.endpoint_id = living.id
   ON CONFLICT DO NOTHING`,
)
const DUE = statement(
  'webhook_deliveries_due',
  `WITH mine AS (
     SELECT id FROM webhook_deliveries
      WHERE status = 'pending' AND next_attempt_at <= now()
        AND (enqueued_at IS NULL OR enqueued_at < now() - interval '${LOST}')
      ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED)
   UPDATE webhook_deliveries d SET enqueued_at = now() FROM mine WHERE d.id = mine.id
   RETURNING d.id, d.endpoint_id AS "endpointId"`,
)
const MISSED = statement(
  'webhook_events_missed',
  `SELECT h.id, h.grant_id AS "grantId" FROM hosts h JOIN host_states s ON s.id = h.id
    WHERE (h.told_status, h.told_reason) IS DISTINCT FROM (s.status, s.status_reason) LIMIT $1`,
)
const TELL = statement('webhook_events_tell', 'SELECT tell_host_states($1, $2)::text AS told')
const PURGE = statement(
  'webhook_events_purge',
  `DELETE FROM webhook_events WHERE id IN (
     SELECT id FROM webhook_events WHERE created_at < now() - ${ageOf('webhook_events')} LIMIT $1) RETURNING 1`,
)

/** The way from an event to its deliveries. `webhook_events` is otherwise written by triggers alone. All of it is done across tenants. */
export function createOutboxStore(prisma: PrismaClient, sql: Sql) {
  return {
    /** Takes the oldest events that nobody else has in hand; those that failed before come after the others. */
    claim: (limit: number): Promise<OutboxEvent[]> => sql.rows<OutboxEvent>(CLAIM_EVENTS, [limit]),

    /**
     * The event is dispatched: with its body and one delivery for each endpoint, or with neither where nobody listens. What it told
     * in clear (the tenant's word for the user) is in the sealed body now, or of no use.
     */
    async dispatch(eventId: string, payloadCt: Buffer | null, endpoints: { id: string }[]): Promise<void> {
      const ids = endpoints.map(({ id }) => id)
      await sql.rows(DISPATCH, [eventId, payloadCt, ids, ids.map(() => uuidv7())])
    },

    /** Files a job for each attempt whose time has come, in the transaction that notes it. Gives how many. */
    enqueueDue: (limit: number, file: (due: DueDelivery[], db: Db) => Promise<void>): Promise<number> =>
      prisma.$transaction(async (tx) => {
        const due = await tx.$queryRawUnsafe<DueDelivery[]>(DUE.text, limit)
        const { fromPrisma } = await import('pg-boss') // loaded by now: the queue works
        if (due.length > 0) await file(due, fromPrisma(tx))
        return due.length
      }),

    /**
     * Hosts whose state is another than their receivers were told last: a link and a verdict that were written at the same moment did
     * not see each other. Each is told in a transaction of its own, by the function that the triggers call.
     */
    async tellMissed(limit: number): Promise<number> {
      const missed = await sql.rows<{ id: string; grantId: string }>(MISSED, [limit])
      for (const { id, grantId } of missed) await sql.rows(TELL, [grantId, id])
      return missed.length
    },

    /** Some of the events past this age, with their deliveries; gives how many. */
    purge: async (limit: number): Promise<number> => (await sql.rows(PURGE, [limit])).length,
  }
}
