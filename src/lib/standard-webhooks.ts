import { createHmac, randomBytes } from 'node:crypto'

export interface WebhookMessage {
  id: string
  timestampSeconds: number
  body: string
}

const SECRET_BYTES = 32
const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/

/** `Buffer.from` skips what it does not know and ignores spare bits, so several spellings decode to one value: only one is right. */
export function canonicalBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}

/** The key in a secret: `whsec_` and canonical base64 of 24 to 64 bytes, as the standard wants them. Anything else is null. */
export function parseWebhookSecret(text: string): Buffer | null {
  const base64 = SECRET.exec(text)?.[1]
  const key = base64 === undefined ? null : canonicalBase64(base64)
  return key && key.length >= 24 && key.length <= 64 ? key : null
}

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
