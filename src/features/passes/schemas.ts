import { z } from 'zod'
import { externalUserId, isoTime, objectId, pageOf, pageQuery, plainText, timestamp } from '../../plugins/responses.ts'
import { MEETING_ID } from '../../zoom/meeting-id.ts'
import type { HostReference } from './service.ts'

const kind = z.enum(['join', 'obf', 'zak', 'access'])
/** As people paste it: a number with any spacing, or a join link. */
const meeting = z.string().min(1).max(2048)

const hostReference = z
  .strictObject({ host_id: objectId().optional(), external_user_id: externalUserId().optional() })
  .refine(
    (named) => (named.host_id === undefined) !== (named.external_user_id === undefined),
    'must name exactly one of host_id and external_user_id',
  )
  .transform(
    (named): HostReference =>
      named.host_id === undefined ? { externalUserId: named.external_user_id as string } : { hostId: named.host_id },
  )

const metadataText = z
  .string()
  .max(500)
  .regex(/^\P{Cc}*$/u, 'must not hold control characters')
  .refine((value) => value.isWellFormed(), 'must be well-formed Unicode')
const metadata = z
  .record(plainText(500), metadataText)
  .refine((pairs) => Object.keys(pairs).length <= 20, 'must have at most 20 pairs')

export const passParams = z.object({ id: objectId() })

export const createPassBody = z.strictObject({
  /** Required but for the kind `access`. */
  meeting: meeting.optional(),
  host: hostReference.optional(),
  on_behalf_of: z.union([hostReference.transform((one) => [one]), z.array(hostReference).min(1).max(5)]).default([]),
  kinds: z.array(kind).min(1).max(3).default(['join', 'obf']),
  join_at: timestamp().nullish(),
  expires_at: timestamp().nullish(),
  metadata: metadata.default({}),
})

export type CreatePassBody = z.output<typeof createPassBody>

export const updatePassBody = z.strictObject({
  meeting: meeting.optional(),
  join_at: timestamp().nullish(),
  expires_at: timestamp().optional(),
})

export const listPassesQuery = z.object({
  ...pageQuery,
  meeting_id: z.string().regex(MEETING_ID, 'must be 9 to 12 digits').optional(),
})

const hostStatus = z.enum(['connected', 'reconnect_required', 'blocked'])
const shown = {
  id: z.uuid(),
  /** Null for a pass of kind `access`. */
  meeting_id: z.string().nullable(),
  kinds: z.array(kind),
  host: z.object({ id: z.uuid(), external_user_id: z.string(), status: hostStatus }).nullable(),
  /** Id and status are null while nobody is connected under the external user id. */
  on_behalf_of: z.array(
    z.object({ id: z.uuid().nullable(), external_user_id: z.string(), status: hostStatus.nullable() }),
  ),
  join_at: isoTime().nullable(),
  expires_at: isoTime(),
  metadata: z.record(z.string(), z.string()),
  created_at: isoTime(),
}
const warnings = z.array(
  z.object({
    code: z.enum([
      'host_unknown',
      'obf_user_is_not_host',
      'obf_and_zak',
      'join_alone',
      'reconnect_required',
      'missing_scope',
      'public_url_not_https',
      'no_recall_secret',
    ]),
    detail: z.string(),
  }),
)

export const passResponse = z.object(shown)
export const changedPassResponse = z.object({ ...shown, warnings })
/** The only answer that holds the pass's URLs. */
export const createdPassResponse = z.object({
  ...shown,
  warnings,
  join_token_url: z.string().optional(),
  obf_token_url: z.string().optional(),
  zak_token_url: z.string().optional(),
  access_token_url: z.string().optional(),
  /** To merge into Recall's Create Bot body; of a pass of kind `access` into that of its Create Zoom OAuth Credential. */
  recall: z.union([
    z.object({
      zoom: z.object({
        join_token_url: z.string().optional(),
        obf_token_url: z.string().optional(),
        zak_url: z.string().optional(),
      }),
      metadata: z.object({ latchkey_pass_id: z.string() }),
    }),
    z.object({ access_token_callback_url: z.string() }),
  ]),
})
export const passesResponse = pageOf(passResponse)
