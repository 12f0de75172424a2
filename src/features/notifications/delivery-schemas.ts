import { z } from 'zod'
import { isoTime, objectId, pageOf, pageQuery } from '../../plugins/responses.ts'

const status = z.enum(['pending', 'delivered', 'failed'])

export const deliveriesParams = z.object({ id: objectId() })
export const deliveryParams = z.object({ id: objectId(), delivery_id: objectId() })
export const listDeliveriesQuery = z.object({ ...pageQuery, status: status.optional() })

export const deliveryResponse = z.object({
  id: z.uuid(),
  endpoint_id: z.uuid(),
  /** Sent as `webhook-id`: the same at every attempt and at every endpoint. */
  event_id: z.uuid(),
  event_type: z.string(),
  status,
  attempts: z.int(),
  next_attempt_at: isoTime().nullable(),
  last_attempt_at: isoTime().nullable(),
  last_status_code: z.int().nullable(),
  last_error: z.string().nullable(),
  delivered_at: isoTime().nullable(),
  created_at: isoTime(),
})

export const deliveriesResponse = pageOf(deliveryResponse)
