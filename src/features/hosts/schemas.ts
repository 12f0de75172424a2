import { z } from 'zod'
import { grantState, grantStatus } from '../../plugins/grant-state.ts'
import { externalUserId, isoTime, objectId, pageOf, pageQuery } from '../../plugins/responses.ts'
import { syncState } from '../../plugins/sync-state.ts'

export const hostParams = z.object({ id: objectId() })

export const listHostsQuery = z.object({
  ...pageQuery,
  status: grantStatus.optional(),
  /** The host whose next pass comes first is the first to be reconnected. */
  sort: z.enum(['next_pass']).optional(),
  external_user_id: externalUserId().optional(),
  zoom_user_id: z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/, 'must be a Zoom user id')
    .optional(),
  email: z
    .string()
    .max(320)
    .regex(/^[^\s\p{C}]+$/u, 'must be an e-mail address')
    .optional(),
})

export const hostResponse = z.object({
  id: z.uuid(),
  external_user_id: z.string(),
  /** Null once the user has taken the app away and their data was erased. */
  zoom_user_id: z.string().nullable(),
  zoom_account_id: z.string().nullable(),
  email: z.string().nullable(),
  display_name: z.string().nullable(),
  ...grantState,
  sync: syncState,
})

export const hostsResponse = pageOf(
  hostResponse.extend({
    /** Only with `sort=next_pass`: the first pass to come whose bot will ask this host's grant. */
    next_pass: z.object({ pass_id: z.uuid(), meeting_id: z.string(), join_at: isoTime() }).nullable().optional(),
  }),
)

/** The pair, given out once. */
export const releaseResponse = z.object({ refresh_token: z.string(), access_token: z.string(), expires_at: isoTime() })
