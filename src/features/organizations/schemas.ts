import { z } from 'zod'
import { grantState, grantStatus } from '../../plugins/grant-state.ts'
import { externalUserId, objectId, pageOf, pageQuery } from '../../plugins/responses.ts'
import { accountSyncState } from '../../plugins/sync-state.ts'

export const organizationParams = z.object({ id: objectId() })

export const listOrganizationsQuery = z.object({
  ...pageQuery,
  status: grantStatus.optional(),
  external_user_id: externalUserId().optional(),
  zoom_account_id: z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/, 'must be a Zoom account id')
    .optional(),
})

export const organizationResponse = z.object({
  id: z.uuid(),
  zoom_account_id: z.string(),
  external_user_id: z.string(),
  zoom_user_id: z.string().nullable(),
  email: z.string().nullable(),
  display_name: z.string().nullable(),
  ...grantState,
  sync: accountSyncState,
})

export const organizationsResponse = pageOf(organizationResponse)
