import { z } from 'zod'
import { errorResponses, isoTime, objectId } from '../../plugins/responses.ts'

/** Parameters other than these are ignored: whoever forwards the URL may have added some. */
export const tokenQuery = z.object({
  pass: z
    .string()
    .regex(/^[\x21-\x7e]{1,512}$/, 'is not a pass')
    .optional(),
  meeting_id: z
    .string()
    .regex(/^[0-9]{9,12}$/, 'must be 9 to 12 digits')
    .optional(),
})

/** A bare token: a string body skips the schema, so `zoom/mint.ts` has checked it. */
export const tokenResponses = { 200: z.string(), ...errorResponses }

export const lendParams = z.object({ id: objectId() })

// Zoom's access tokens live an hour: more could not be kept
export const lendBody = z.strictObject({ min_ttl_seconds: z.int().min(1).max(3000).default(120) })

export const lendResponse = z.object({
  access_token: z.string(),
  /** A later refresh may end it early. */
  expires_at: isoTime(),
  scopes: z.array(z.string()),
})
