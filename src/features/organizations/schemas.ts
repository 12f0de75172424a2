import { z } from 'zod'
import { externalUserId, isoTime, objectId, pageOf, pageQuery } from '../../plugins/responses.ts'

const status = z.enum(['connected', 'reconnect_required', 'blocked'])

export const organizationParams = z.object({ id: objectId() })

export const listOrganizationsQuery = z.object({
  ...pageQuery,
  status: status.optional(),
  external_user_id: externalUserId().optional(),
  zoom_account_id: z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/, 'must be a Zoom account id')
    .optional(),
})

export const deleteOrganizationQuery = z.object({
  revoke: z
    .enum(['true', 'false'])
    .default('true')
    .transform((word) => word === 'true'),
})

export const organizationResponse = z.object({
  id: z.uuid(),
  zoom_account_id: z.string(),
  external_user_id: z.string(),
  zoom_user_id: z.string(),
  email: z.string().nullable(),
  display_name: z.string().nullable(),
  status,
  status_reason: z.string().nullable(),
  scopes: z.array(z.string()),
  missing_scopes: z.array(z.string()),
  degraded: z.array(z.enum(['profile', 'sync', 'settings'])),
  connected_at: isoTime(),
  last_refreshed_at: isoTime().nullable(),
  refresh_expires_at: isoTime().nullable(),
})

export const organizationsResponse = pageOf(organizationResponse)
