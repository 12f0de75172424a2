import { z } from 'zod'
import { parseWebhookSecret } from '../../../lib/standard-webhooks.ts'
import { isoTime, objectId, pageOf, pageQuery } from '../../../plugins/responses.ts'

/** Recall's clouds: logins, keys, secrets and bots of one are unknown in the others. */
const REGIONS = ['us-east-1', 'us-west-2', 'eu-central-1', 'ap-northeast-1'] as const

/** Given on as the key's bytes, so that two spellings of one secret are one. */
const verificationSecret = z
  .string()
  .max(200)
  .transform((text, context) => {
    const key = parseWebhookSecret(text)
    if (key) return key
    // the default issue would repeat the input
    context.addIssue({ code: 'custom', message: 'must be whsec_ followed by base64 of 24 to 64 bytes', input: '' })
    return z.NEVER
  })
const verificationSecrets = z.array(verificationSecret).min(1).max(10)
const apiKey = z
  .string()
  .max(500)
  .regex(/^[\x21-\x7e]+$/, 'must be printable characters without spaces')
const signatureMode = z.enum(['require', 'observe'])

export const recallWorkspacesParams = z.object({ id: objectId() })
export const recallWorkspaceParams = z.object({ id: objectId(), workspace_id: objectId() })
export const listRecallWorkspacesQuery = z.object(pageQuery)

export const createRecallWorkspaceBody = z.strictObject({
  region: z.enum(REGIONS),
  verification_secrets: verificationSecrets,
  api_key: apiKey.nullish(),
  signature_mode: signatureMode.default('require'),
})

export const updateRecallWorkspaceBody = z.strictObject({
  region: z.enum(REGIONS).optional(),
  verification_secrets: verificationSecrets.optional(),
  api_key: apiKey.nullish(),
  signature_mode: signatureMode.optional(),
})

/** Secrets are never read back: their ids say which are there, for instance to see a rotation through. */
const shown = {
  id: z.uuid(),
  region: z.string(),
  secrets: z.array(z.object({ id: z.uuid(), created_at: isoTime() })),
  has_api_key: z.boolean(),
  signature_mode: signatureMode,
  observe_until: isoTime().nullable(),
  created_at: isoTime(),
  updated_at: isoTime(),
}
export const recallWorkspaceResponse = z.object(shown)
export const changedRecallWorkspaceResponse = z.object({
  ...shown,
  warnings: z.array(z.object({ code: z.literal('secret_shared'), detail: z.string() })),
})
export const recallWorkspacesResponse = pageOf(recallWorkspaceResponse)
