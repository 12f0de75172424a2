import type { Db } from 'pg-boss'
import { Prisma, type PrismaClient } from '../../generated/prisma/client.ts'
import { uuidv7 } from '../../lib/ids.ts'
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

/** The way from an event to its deliveries. `webhook_events` is otherwise written by triggers alone. */
const EVENT_AGE = Prisma.raw(ageOf('webhook_events'))

export function createOutboxStore(db: PrismaClient) {
  return {
    /** Takes the oldest events that nobody else has in hand; those that failed before come after the others. */
    claim: (limit: number): Promise<OutboxEvent[]> => db.$queryRaw<OutboxEvent[]>`
      WITH mine AS (
        SELECT id FROM webhook_events
         WHERE dispatched_at IS NULL AND (claimed_until IS NULL OR claimed_until < now())
         ORDER BY claimed_until NULLS FIRST, position LIMIT ${limit} FOR UPDATE SKIP LOCKED)
      UPDATE webhook_events e SET claimed_until = now() + ${CLAIM}::interval FROM mine WHERE e.id = mine.id
      RETURNING e.id, e.tenant_id AS "tenantId", e.type, e.subject_id AS "subjectId", e.facts, e.created_at AS "createdAt"`,

    /**
     * The event is dispatched: with its body and one delivery for each endpoint, or with neither where nobody listens. What it told
     * in clear (the tenant's word for the user) is in the sealed body now, or of no use.
     */
    dispatch: (eventId: string, payloadCt: Buffer | null, endpoints: { id: string }[]) =>
      db.$transaction(async (db) => {
        const isOurs = await db.$executeRaw`
          UPDATE webhook_events SET dispatched_at = now(), payload_ct = ${payloadCt}, facts = '{}'
           WHERE id = ${eventId}::uuid AND dispatched_at IS NULL`
        if (isOurs === 0 || endpoints.length === 0) return
        // an endpoint that was deleted meanwhile is nobody to tell: its foreign key would fail the others' deliveries too
        const ids = endpoints.map(({ id }) => id)
        const living = await db.$queryRaw<{ id: string; tenantId: string | null }[]>`
          SELECT id, tenant_id AS "tenantId" FROM webhook_endpoints WHERE id = ANY(${ids}::uuid[]) FOR KEY SHARE`
        await db.webhookDelivery.createMany({
          data: living.map(({ id, tenantId }) => ({ id: uuidv7(), tenantId, endpointId: id, eventId })),
          skipDuplicates: true,
        })
      }),

    /** Files a job for each attempt whose time has come, in the transaction that notes it. Gives how many. */
    enqueueDue: (limit: number, file: (due: DueDelivery[], db: Db) => Promise<void>): Promise<number> =>
      db.$transaction(async (db) => {
        const due = await db.$queryRaw<DueDelivery[]>`
          WITH mine AS (
            SELECT id FROM webhook_deliveries
             WHERE status = 'pending' AND next_attempt_at <= now()
               AND (enqueued_at IS NULL OR enqueued_at < now() - ${LOST}::interval)
             ORDER BY next_attempt_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)
          UPDATE webhook_deliveries d SET enqueued_at = now() FROM mine WHERE d.id = mine.id
          RETURNING d.id, d.endpoint_id AS "endpointId"`
        const { fromPrisma } = await import('pg-boss') // loaded by now: the queue works
        if (due.length > 0) await file(due, fromPrisma(db))
        return due.length
      }),

    /**
     * Hosts whose state is another than their receivers were told last: a link and a verdict that were written at the same moment did
     * not see each other. Each is told in a transaction of its own, by the function that the triggers call.
     */
    async tellMissed(limit: number): Promise<number> {
      const missed = await db.$queryRaw<{ id: string; grantId: string }[]>`
        SELECT h.id, h.grant_id AS "grantId" FROM hosts h JOIN host_states s ON s.id = h.id
         WHERE (h.told_status, h.told_reason) IS DISTINCT FROM (s.status, s.status_reason) LIMIT ${limit}`
      for (const { id, grantId } of missed)
        await db.$queryRaw`SELECT tell_host_states(${grantId}::uuid, ${id}::uuid)::text`
      return missed.length
    },

    /** Some of the events past this age, with their deliveries; gives how many. */
    purge: (limit: number): Promise<number> => db.$executeRaw`
      DELETE FROM webhook_events WHERE id IN (
        SELECT id FROM webhook_events WHERE created_at < now() - ${EVENT_AGE} LIMIT ${limit})`,
  }
}
