import { createHmac, randomBytes } from 'node:crypto'

export interface WebhookMessage {
  id: string
  timestampSeconds: number
  body: string
}

const SECRET_BYTES = 32

/** A new signing secret as it is handed over: `whsec_` and base64 of 32 random bytes. */
export const newWebhookSecret = (): string => `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`

/**
 * The header `webhook-signature`: one `v1` entry for each key, so that a receiver may know either during a rotation.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function signStandardWebhook(keys: Buffer[], { id, timestampSeconds, body }: WebhookMessage): string {
  const text = `${id}.${timestampSeconds}.${body}`
  return keys.map((key) => `v1,${createHmac('sha256', key).update(text).digest('base64')}`).join(' ')
}
