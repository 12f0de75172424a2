import { z } from 'zod'
import { externalUserId } from '../../plugins/responses.ts'

/** As the token endpoint writes them: printable ASCII up to 8 KiB. */
const refreshToken = z.string().regex(/^[\x21-\x7e]{1,8192}$/, 'must be a refresh token of Zoom’s')

export const importHostsBody = z.strictObject({
  hosts: z
    .array(z.strictObject({ external_user_id: externalUserId(), refresh_token: refreshToken }))
    .min(1)
    .max(200),
})

export const importHostsResponse = z.object({
  data: z.array(
    z.object({
      external_user_id: z.string(),
      host_id: z.uuid().optional(),
      status: z.enum(['connected', 'rejected', 'deferred']),
      code: z.string().optional(),
    }),
  ),
})
