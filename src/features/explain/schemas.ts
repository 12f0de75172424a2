import { z } from 'zod'
import { grantState, grantStatus } from '../../plugins/grant-state.ts'
import { mappingState } from '../../plugins/mapping-state.ts'
import { mintKind, mintLine } from '../../plugins/mint-line.ts'
import { isoTime, objectId } from '../../plugins/responses.ts'
import { MEETING_ID } from '../../zoom/meeting-id.ts'

export const explainPassParams = z.object({ id: objectId() })
export const explainMeetingParams = z.object({
  meeting_id: z.string().regex(MEETING_ID, 'must be 9 to 12 digits'),
})

const explainedPass = z.object({
  id: z.uuid(),
  kinds: z.array(mintKind),
  on_behalf_of: z.array(
    z.object({ id: z.uuid().nullable(), external_user_id: z.string(), status: grantStatus.nullable() }),
  ),
  join_at: isoTime().nullable(),
  expires_at: isoTime(),
  created_at: isoTime(),
})

/** `rule`: why this claim stands and no other. */
const explainedMapping = z.object({ ...mappingState, rule: z.string() })

/** Each null where it is unknown, all where `reason` says why. */
const explainedSettings = z.object({
  reason: z.enum(['no_host', 'host_not_connected', 'missing_scope', 'no_answer']).nullable(),
  local_recording: z.boolean().nullable(),
  auto_recording: z.string().nullable(),
  waiting_room: z.boolean().nullable(),
  join_before_host: z.boolean().nullable(),
})

const explainedCause = z.object({
  cause: z.string(),
  /** `possible` is what cannot be seen from here. */
  likelihood: z.enum(['certain', 'likely', 'possible']),
  why: z.string(),
  next_step: z.string(),
})

export const explanationResponse = z.object({
  /** What the reference was parsed to; null for a pass of kind `access`. */
  meeting_id: z.string().nullable(),
  pass: explainedPass.nullable(),
  mapping: explainedMapping.nullable(),
  /** The external user id of the connected host whose personal room it is. */
  personal_room_of: z.string().nullable(),
  host: z.object({ id: z.uuid(), external_user_id: z.string(), ...grantState }).nullable(),
  organization: z.object({ id: z.uuid(), ...grantState }).nullable(),
  settings: explainedSettings,
  mints: z.array(z.object(mintLine)),
  causes: z.array(explainedCause),
})
