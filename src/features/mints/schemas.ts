import { z } from 'zod'
import { isoTime, objectId, pageOf, pageQuery } from '../../plugins/responses.ts'
import { MEETING_ID } from '../../zoom/meeting-id.ts'

const kind = z.enum(['join', 'obf', 'zak', 'access'])

export const listMintsQuery = z.object({
  ...pageQuery,
  meeting_id: z.string().regex(MEETING_ID, 'must be 9 to 12 digits').optional(),
  pass_id: objectId().optional(),
  outcome: z
    .string()
    .regex(/^[a-z_]{1,50}$/, 'must be minted, unknown or an error code')
    .optional(),
  kind: kind.optional(),
})

const mintResponse = z.object({
  id: z.uuid(),
  kind,
  meeting_id: z.string().nullable(),
  host_id: z.uuid().nullable(),
  pass_id: z.uuid().nullable(),
  /** `minted`, an error code, or `unknown` while the outcome is on its way or the process died before it was written. */
  outcome: z.string(),
  reason: z.string().nullable(),
  zoom_status: z.int().nullable(),
  zoom_code: z.int().nullable(),
  duration_ms: z.int().nullable(),
  request_id: z.string(),
  created_at: isoTime(),
})

export const mintsResponse = pageOf(mintResponse)
