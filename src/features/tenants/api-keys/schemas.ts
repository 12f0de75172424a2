import { z } from 'zod'
import { isoTime, objectId, pageOf, pageQuery, plainText, timestamp } from '../../../plugins/responses.ts'
import { SCOPES } from '../../../scopes.ts'

export const apiKeysParams = z.object({ id: objectId() })
export const apiKeyParams = z.object({ id: objectId(), key_id: objectId() })

export const createApiKeyBody = z.strictObject({
  name: plainText(200),
  scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length).optional(),
  expires_at: timestamp()
    .refine((at) => at.getTime() > Date.now(), 'must be in the future')
    .nullish(),
})

export const listApiKeysQuery = z.object(pageQuery)

const shown = {
  id: z.uuid(),
  prefix: z.string(),
  name: z.string(),
  scopes: z.array(z.string()),
  expires_at: isoTime().nullable(),
  /** To the minute or so; null: never. */
  last_used_at: isoTime().nullable(),
  created_at: isoTime(),
}
const apiKeyResponse = z.object(shown)
/** The only answer that holds the key itself. */
export const createdApiKeyResponse = z.object({ ...shown, key: z.string() })
export const apiKeysResponse = pageOf(apiKeyResponse)
