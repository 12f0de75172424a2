import { z } from 'zod'
import { mintKind, mintLine } from '../../plugins/mint-line.ts'
import { objectId, pageOf, pageQuery } from '../../plugins/responses.ts'
import { MEETING_ID } from '../../zoom/meeting-id.ts'

export const listMintsQuery = z.object({
  ...pageQuery,
  meeting_id: z.string().regex(MEETING_ID, 'must be 9 to 12 digits').optional(),
  pass_id: objectId().optional(),
  outcome: z
    .string()
    .regex(/^[a-z_]{1,50}$/, 'must be minted, unknown or an error code')
    .optional(),
  kind: mintKind.optional(),
})

const mintResponse = z.object({ ...mintLine, meeting_id: z.string().nullable() })

export const mintsResponse = pageOf(mintResponse)
