import { createHmac } from 'node:crypto'
import { headerLines } from '../lib/header-lines.ts'
import { constantTimeEqual } from '../lib/ids.ts'

export interface SignedEvent {
  /** Names and values in turn, as Node received them. */
  rawHeaders: string[]
  /** The bytes received: JSON written again differs. */
  body: Buffer
  /** Secret tokens of the app, two during a rotation. */
  secrets: string[]
  nowMs: number
}

export type EventVerdict =
  | { ok: true; secret: string }
  | { ok: false; reason: 'signature_missing' | 'signature_mismatch' | 'timestamp_out_of_range' }

const SIGNATURE = /^v0=([0-9a-f]{64})$/
const TIMESTAMP = /^[1-9][0-9]{9}$/
// Zoom tries again for up to 85 minutes, perhaps with the first timestamp; whatever comes twice is known by its bytes
const OLDEST_SECONDS = 2 * 3600
const EARLIEST_SECONDS = 300

/**
 * Verifies that an event comes from Zoom for this app: HMAC-SHA256 over `v0:{timestamp}:{body}`, compared with every secret in
 * constant time. @see https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events
 */
export function verifyZoomEvent({ rawHeaders, body, secrets, nowMs }: SignedEvent): EventVerdict {
  const signatures = headerLines(rawHeaders, 'x-zm-signature')
  const timestamps = headerLines(rawHeaders, 'x-zm-request-timestamp')
  if (!signatures[0] || !timestamps[0]) return { ok: false, reason: 'signature_missing' }
  const hex = SIGNATURE.exec(signatures[0])?.[1]
  const timestamp = timestamps[0]
  const isReadable =
    hex !== undefined && TIMESTAMP.test(timestamp) && signatures.length === 1 && timestamps.length === 1
  if (!isReadable) return { ok: false, reason: 'signature_mismatch' }
  const given = Buffer.from(hex, 'hex')
  let matched: string | null = null
  for (const secret of secrets) {
    const expected = createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body).digest()
    if (constantTimeEqual(given, expected)) matched ??= secret // compared even when one matched already
  }
  if (matched === null) return { ok: false, reason: 'signature_mismatch' }
  const ageSeconds = Math.floor(nowMs / 1000) - Number(timestamp)
  if (ageSeconds > OLDEST_SECONDS || ageSeconds < -EARLIEST_SECONDS)
    return { ok: false, reason: 'timestamp_out_of_range' }
  return { ok: true, secret: matched }
}

/** What Zoom wants back to believe that this endpoint knows the secret. @see https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint */
export const encryptedToken = (secret: string, plainToken: string): string =>
  createHmac('sha256', secret).update(plainToken).digest('hex')
