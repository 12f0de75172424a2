import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../../errors.ts'
import { type CursorCodec, toPage } from '../../lib/cursor.ts'
import { jitter } from '../../lib/deadline.ts'
import { SealError } from '../../lib/sealing.ts'
import type { SendOutcome, SendRequest } from '../../receivers/sender.ts'
import type { SecretBox } from '../../secrets/box.ts'
import type { AttemptResult, BegunAttempt, Delivery, DeliveryStore } from './delivery-store.ts'
import { payloadPlace } from './dispatch.ts'

export interface DeliveryDeps {
  store: DeliveryStore
  endpoints: {
    /** Null where the endpoint is gone. */
    secretsOf: (endpointId: string) => Promise<{ url: string; secrets: Buffer[]; isEnabled: boolean } | null>
    disable: (endpointId: string, reason: string) => Promise<void>
    /** @throws not_found for another owner's */
    require: (owner: string | null, endpointId: string) => Promise<unknown>
  }
  send: (request: SendRequest) => Promise<SendOutcome>
  box: Pick<SecretBox, 'open'>
  cursors: CursorCodec
  log: FastifyBaseLogger
  now: () => number
  count: (outcome: 'delivered' | 'retried' | 'failed') => void
}

const MINUTE = 60
const HOUR = 60 * MINUTE
/**
 * Seconds from one attempt to the next: dense where a receiver is just being deployed, and over 36 hours in all, so that a night and a
 * working day pass before an event is given up.
 */
export const RETRY_SECONDS = [
  5,
  30,
  2 * MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  4 * HOUR,
  8 * HOUR,
  8 * HOUR,
  12 * HOUR,
]
const LAST_RETRY_SECONDS = RETRY_SECONDS.at(-1) ?? 0
/** Attempts that came early, because the endpoint took something else, must not shorten the time that an event has. */
const LEAST_AGE_SECONDS = RETRY_SECONDS.reduce((sum, seconds) => sum + seconds, 0) * 0.9
// each attempt at an endpoint that hangs holds a worker for the sender's whole deadline; others wait for workers too
const HANGING_PAUSE_SECONDS = MINUTE
const GONE = 410

/** Until the next attempt; null where there is none. */
const retryAfter = ({ attempts, ageSeconds }: BegunAttempt) =>
  RETRY_SECONDS[attempts - 1] ?? (ageSeconds < LEAST_AGE_SECONDS ? LAST_RETRY_SECONDS : null)

export type DeliveryService = ReturnType<typeof createDeliveryService>

/** One attempt after the other, each with the same id and body, until the receiver has it. */
export function createDeliveryService(deps: DeliveryDeps) {
  const { store, endpoints, send, box, cursors, log, now, count } = deps

  async function giveUp({ id, endpointId, attempts }: BegunAttempt, result: AttemptResult): Promise<void> {
    await store.fail(id, result, null)
    count('failed')
    const fields = { delivery_id: id, endpoint_id: endpointId, attempts, error: result.error }
    log.warn(fields, 'an event was not delivered and is not tried again')
  }

  async function settle(attempt: BegunAttempt, outcome: SendOutcome): Promise<void> {
    const statusCode = outcome.outcome === 'failed' ? null : outcome.status
    if (outcome.outcome === 'delivered') {
      await store.succeed(attempt, { statusCode, error: null })
      return count('delivered')
    }
    const error = outcome.outcome === 'failed' ? outcome.reason : `status_${outcome.status}`
    if (statusCode === GONE) {
      await endpoints.disable(attempt.endpointId, 'gone')
      return await giveUp(attempt, { statusCode, error })
    }
    if (error === 'timeout') await store.putOff(attempt.endpointId, HANGING_PAUSE_SECONDS)
    const seconds = retryAfter(attempt)
    if (seconds === null) return await giveUp(attempt, { statusCode, error })
    // spread, so that what failed together does not come back together
    await store.fail(attempt.id, { statusCode, error }, jitter(seconds * 0.9, seconds * 1.1))
    count('retried')
  }

  /** What is to be sent and where, or why that will never be known. @throws store_unavailable */
  async function prepare({ endpointId, eventId, tenantId, payloadCt }: BegunAttempt) {
    try {
      const endpoint = await endpoints.secretsOf(endpointId)
      if (!endpoint?.isEnabled) return 'endpoint_disabled'
      const { url, secrets } = endpoint
      return { url, secrets, body: await box.open(payloadPlace(eventId, tenantId), payloadCt) }
    } catch (error) {
      if (error instanceof SealError) return 'unreadable' // its data key is gone: no later attempt would open it
      throw error
    }
  }

  const listScope = (endpointId: string, status: string | undefined) => ({
    tenantId: endpointId,
    list: 'webhook-deliveries',
    filter: { status },
  })

  return {
    /** One attempt, if it is due and nobody else is at it. @throws store_unavailable; the queue calls again */
    async attempt(deliveryId: string): Promise<void> {
      const attempt = await store.begin(deliveryId)
      if (!attempt) return
      const ready = await prepare(attempt)
      if (typeof ready === 'string') return await giveUp(attempt, { statusCode: null, error: ready })
      const timestampSeconds = Math.floor(now() / 1000)
      await settle(attempt, await send({ ...ready, id: attempt.eventId, timestampSeconds }))
    },
    /** `owner`: the tenant, or null for the operator's own endpoints. @throws not_found, invalid_request */
    async list(
      owner: string | null,
      endpointId: string,
      status: Delivery['status'] | undefined,
      page: { limit: number; cursor?: string | undefined },
    ) {
      await endpoints.require(owner, endpointId)
      const scope = listScope(endpointId, status)
      const rows = await store.list(owner, endpointId, status, page.limit + 1, cursors.decode(scope, page.cursor))
      return toPage(rows, page.limit, (position) => cursors.encode(scope, position))
    },
    /** Sends the same event again, under the same id. @throws not_found */
    async redeliver(owner: string | null, endpointId: string, deliveryId: string): Promise<Delivery> {
      await endpoints.require(owner, endpointId)
      const delivery = await store.restart(owner, endpointId, deliveryId)
      if (!delivery) throw new AppError('not_found', 'No such delivery.')
      return delivery
    },
  }
}
