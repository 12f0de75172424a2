import { z } from 'zod'
import { parseWebhookSecret } from '../../lib/standard-webhooks.ts'
import { isoTime, objectId, pageOf, pageQuery, plainText } from '../../plugins/responses.ts'
import { EVENT_TYPES } from './event-types.ts'

export const endpointParams = z.object({ id: objectId() })
export const listEndpointsQuery = z.object(pageQuery)

const url = z.string().min(1).max(2000)
const events = z
  .array(z.enum(EVENT_TYPES))
  .max(EVENT_TYPES.length)
  .transform((types) => [...new Set(types)])
const description = plainText(200)
const secret = z
  .string()
  .max(200)
  .refine((text) => parseWebhookSecret(text) !== null, 'must be whsec_ and base64 of 24 to 64 bytes')

export const createEndpointBody = z.strictObject({
  url,
  /** None: all events, also those that a later version brings. */
  events: events.default([]),
  description: description.nullish(),
  /** Where the receiver has one already; else one is made. */
  secret: secret.optional(),
})

export const updateEndpointBody = z.strictObject({
  url: url.optional(),
  events: events.optional(),
  description: description.nullish(),
  is_enabled: z.boolean().optional(),
})

export const endpointResponse = z.object({
  id: z.uuid(),
  url: z.string(),
  events: z.array(z.string()),
  description: z.string().nullable(),
  is_enabled: z.boolean(),
  /** `by_owner`, or `gone`: the receiver answered 410. */
  disabled_reason: z.string().nullable(),
  /** Until when the secret before the last rotation signs too. */
  previous_secret_until: isoTime().nullable(),
  created_at: isoTime(),
  updated_at: isoTime(),
})

/** The secret is shown here and never again. */
export const endpointWithSecretResponse = z.object({ ...endpointResponse.shape, secret: z.string() })
export const endpointsResponse = pageOf(endpointResponse)
