import { z } from 'zod'
import { mappingSource, mappingState } from '../../plugins/mapping-state.ts'
import { externalUserId, objectId, pageOf, pageQuery } from '../../plugins/responses.ts'
import { MEETING_ID } from '../../zoom/meeting-id.ts'
import type { MappingTarget } from './store.ts'

const ONE_TARGET = 'must name exactly one of host_id, external_user_id and organization_id'
const meetingId = z.string().regex(MEETING_ID, 'must be 9 to 12 digits')

const target = z
  .strictObject({
    host_id: objectId().optional(),
    external_user_id: externalUserId().optional(),
    organization_id: objectId().optional(),
  })
  .refine((named) => Object.values(named).filter((value) => value !== undefined).length === 1, ONE_TARGET)
  .transform((named): MappingTarget => {
    if (named.host_id !== undefined) return { hostId: named.host_id }
    if (named.external_user_id !== undefined) return { externalUserId: named.external_user_id }
    return { organizationId: named.organization_id as string }
  })

export const meetingParams = z.object({ meeting_id: meetingId })
export const putMeetingBody = target
export const listMeetingsQuery = z.object({
  ...pageQuery,
  host_id: objectId().optional(),
  source: mappingSource.optional(),
})

const text = z.string().max(2000)

/** A row of the wrong shape spoils the batch; one that only says something unusable is refused by itself. */
const batchRow = z
  .strictObject({
    meeting_id: text,
    host_id: text.optional(),
    external_user_id: text.optional(),
    organization_id: text.optional(),
  })
  .transform(({ meeting_id, ...named }) => ({
    meetingId: meeting_id,
    target: MEETING_ID.test(meeting_id) ? (target.safeParse(named).data ?? null) : null,
  }))

export const batchMeetingsBody = z.strictObject({ meetings: z.array(batchRow).max(1000) })

export const meetingResponse = z.object({
  meeting_id: z.string(),
  ...mappingState,
})

export const meetingsResponse = pageOf(meetingResponse)

export const batchMeetingsResponse = z.object({
  data: z.array(
    z.object({ meeting_id: z.string(), status: z.enum(['stored', 'refused']), code: z.string().optional() }),
  ),
})
