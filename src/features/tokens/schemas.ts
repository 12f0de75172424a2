import { z } from 'zod'
import { errorResponses } from '../../plugins/responses.ts'

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
