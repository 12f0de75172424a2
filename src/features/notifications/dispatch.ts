import type { Db } from 'pg-boss'
import { inParts } from '../../lib/in-parts.ts'
import { OPERATOR_ID, type SecretBox } from '../../secrets/box.ts'
import type { DueDelivery, OutboxEvent, OutboxStore } from './outbox-store.ts'
import type { Payloads } from './payloads.ts'

export interface DispatchDeps {
  store: OutboxStore
  payloads: Payloads
  /** The enabled endpoints that listen for it: the tenant's own and the operator's. */
  endpointsFor: (tenantId: string | null, type: string) => Promise<{ id: string; tenantId: string | null }[]>
  box: Pick<SecretBox, 'seal'>
  queue: {
    isStarted: () => boolean
    /** Files jobs in the transaction behind `db`. */
    insert: (
      name: string,
      jobs: { singletonKey: string; data: object; group: { id: string } }[],
      db: Db,
    ) => Promise<void>
    wake: (name: string) => void
  }
}

/** The queue of attempts; its jobs carry the id of a delivery. */
export const DELIVERY_QUEUE = 'webhook-delivery'

const EVENTS_CLAIMED = 50
// few enough to leave connections for requests: after a restore every host has an event
const EVENTS_AT_ONCE = 4
const DELIVERIES_AT_ONCE = 500
const MISSED_AT_ONCE = 200 // there is seldom one
// for who looks up, a month later, what was sent; the connect links in them are long dead
const PURGED_AT_ONCE = 5000 // well within a statement's 5 s

/** Where the body of an event is sealed: under its tenant’s data key, or the operator’s. */
export const payloadPlace = (eventId: string, tenantId: string | null) => ({
  ownerId: tenantId ?? OPERATOR_ID,
  table: 'webhook_events',
  column: 'payload_ct',
  rowId: eventId,
  generation: 0,
})

/**
 * From the outbox to the queue, called by the clock only. Every step is one transaction that any replica may take over: an event
 * gets its body and its deliveries once, an attempt its job.
 */
export function createDispatch({ store, payloads, endpointsFor, box, queue }: DispatchDeps) {
  async function dispatch(event: OutboxEvent): Promise<void> {
    const { id, tenantId, type } = event
    const endpoints = await endpointsFor(tenantId, type)
    if (endpoints.length === 0) return await store.dispatch(id, null, [])
    const body = await payloads.compose(event)
    await store.dispatch(id, await box.seal(payloadPlace(id, tenantId), body), endpoints)
  }

  const file = (due: DueDelivery[], db: Db) =>
    queue.insert(
      DELIVERY_QUEUE,
      due.map(({ id, endpointId }) => ({ singletonKey: id, data: { deliveryId: id }, group: { id: endpointId } })),
      db,
    )

  return {
    /** @throws what the first event that could not be dispatched threw, after the others; it is tried again */
    async dispatchAcrossTenants(signal: AbortSignal): Promise<void> {
      for (let isMore = true; isMore && !signal.aborted; ) {
        const events = await store.claim(EVENTS_CLAIMED)
        isMore = events.length === EVENTS_CLAIMED
        const faults: unknown[] = []
        const next = events.values()
        const work = async () => {
          for (const event of next) if (!signal.aborted) await dispatch(event).catch((error) => faults.push(error))
        }
        await Promise.all(Array.from({ length: EVENTS_AT_ONCE }, work))
        if (faults.length > 0) throw faults[0]
      }
    },
    /** Files the jobs of the attempts whose time has come. @throws store_unavailable */
    async enqueueAcrossTenants(signal: AbortSignal): Promise<void> {
      if (!queue.isStarted()) return
      for (let filed = DELIVERIES_AT_ONCE; filed === DELIVERIES_AT_ONCE && !signal.aborted; ) {
        filed = await store.enqueueDue(DELIVERIES_AT_ONCE, file)
        if (filed > 0) queue.wake(DELIVERY_QUEUE)
      }
    },
    /** Tells what two changes at one moment hid from each other. @throws store_unavailable */
    tellMissedAcrossTenants: (): Promise<number> => store.tellMissed(MISSED_AT_ONCE),
    /** Forgets what was sent long ago. @throws store_unavailable */
    purgeAcrossTenants: (signal: AbortSignal): Promise<number> => inParts(PURGED_AT_ONCE, signal, store.purge),
  }
}
