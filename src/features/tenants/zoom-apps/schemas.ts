import { z } from 'zod'
import { isoTime, objectId, pageOf, pageQuery } from '../../../plugins/responses.ts'

/** Printable ASCII without spaces: whatever else is pasted with an id or a secret is a mistake. */
const printable = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .regex(/^[\x21-\x7e]+$/, 'must be printable characters without spaces')

/** Compared by Zoom character by character, so it is kept as written. */
const redirectUri = z
  .string()
  .max(500)
  .regex(/^https?:\/\/[\x21-\x7e]+$/, 'must be an absolute http(s) URL')
  .refine((value) => {
    const url = URL.parse(value)
    return url !== null && url.username === '' && url.password === '' && !value.includes('#')
  }, 'must be a URL without user, password and fragment')

export const zoomAppParams = z.object({ id: objectId() })
export const listZoomAppsQuery = z.object(pageQuery)

export const createZoomAppBody = z.strictObject({
  client_id: printable(200),
  client_secret: printable(500),
  kind: z.enum(['user', 'account']).default('user'),
  webhook_secret_token: printable(500).optional(),
  redirect_uri: redirectUri.optional(),
  tenant_id: objectId().nullish(),
})

export const updateZoomAppBody = z.strictObject({
  client_secret: printable(500).optional(),
  webhook_secret_token: printable(500).nullish(),
  redirect_uri: redirectUri.nullish(),
  drop_previous: z.boolean().default(false),
})

/** Secrets are never read back: only whether there is one. */
export const zoomAppResponse = z.object({
  id: z.uuid(),
  client_id: z.string(),
  kind: z.enum(['user', 'account']),
  tenant_id: z.uuid().nullable(),
  redirect_uri: z.string(),
  managed_by: z.enum(['environment', 'api']),
  has_webhook_secret: z.boolean(),
  has_previous_secret: z.boolean(),
  has_previous_webhook_secret: z.boolean(),
  /** When Zoom last validated the webhook endpoint, which it does every 72 hours. */
  webhook_validated_at: isoTime().nullable(),
  /** When a sync last found meetings whose events had not come. */
  events_missed_at: isoTime().nullable(),
  created_at: isoTime(),
})

export const zoomAppsResponse = pageOf(zoomAppResponse)
