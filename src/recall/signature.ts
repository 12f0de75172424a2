import { createHmac, type KeyObject } from 'node:crypto'
import { constantTimeEqual } from '../lib/ids.ts'
import { canonicalBase64 } from '../lib/standard-webhooks.ts'

export interface RecallSecret {
  id: string
  /** Not bytes: turning them into a key costs four times what the MAC does, at every request. */
  key: KeyObject
}

type SignatureRefusal = 'signature_missing' | 'signature_mismatch' | 'timestamp_out_of_range' | 'no_secret_configured'

export type SignatureVerdict =
  | { ok: true; webhookId: string; secretId: string }
  | { ok: false; reason: SignatureRefusal }

export interface SignedRequest {
  /** Names and values in turn, as Node received them: joined values would hide a header that was sent twice. */
  rawHeaders: string[]
  secrets: RecallSecret[]
  nowMs: number
  toleranceSeconds: number
  /** The raw body; a GET has none and signs the empty one. */
  payload?: Buffer
}

/** Two families of names for one scheme. `webhook-*` is the standard's, `svix-*` the older one; they never mix. */
const FAMILIES = ['webhook', 'svix'] as const
const PARTS = ['id', 'timestamp', 'signature'] as const
type Lines = Record<(typeof PARTS)[number], string[]>
const NAMES = new Map<string, { family: (typeof FAMILIES)[number]; part: (typeof PARTS)[number] }>(
  FAMILIES.flatMap((family) => PARTS.map((part) => [`${family}-${part}`, { family, part }])),
)

/** No dot, so that `id.timestamp.payload` has one reading. */
const ID = /^[A-Za-z0-9_-]{1,128}$/
/** Ten digits reach from 2001 to 2286; `Number` alone would take signs, fractions, hex and spaces. */
const TIMESTAMP = /^[1-9][0-9]{9}$/
const ENTRY = /^v1,([A-Za-z0-9+/]{43}=)$/
const MAX_HEADER_BYTES = 2048
/** Rotation signs with two secrets at most; more entries than this are noise, and each costs a comparison. */
const MAX_ENTRIES = 16

/**
 * Verifies a Standard Webhooks signature (symmetric `v1`) over the raw bytes. It covers neither method, path nor query: it says
 * who calls, not what may be minted. Every usable entry is compared with every secret in constant time.
 * `timestamp_out_of_range` is only told where the signature itself held, or the timestamp cannot be read at all.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function verifyRecallSignature(request: SignedRequest): SignatureVerdict {
  const { rawHeaders, secrets, nowMs, toleranceSeconds, payload } = request
  if (secrets.length === 0) return refused('no_secret_configured')
  const lines = signatureLines(rawHeaders)
  if (PARTS.some((part) => !lines[part][0])) return refused('signature_missing')
  if (PARTS.some((part) => lines[part].length !== 1)) return refused('signature_mismatch')
  const [id, timestamp, signature] = PARTS.map((part) => lines[part][0] as string) as [string, string, string]
  if (!ID.test(id) || signature.length > MAX_HEADER_BYTES) return refused('signature_mismatch')
  if (!TIMESTAMP.test(timestamp)) return refused('timestamp_out_of_range')

  // the received text is signed, not a number formatted again
  const secretId = matchingSecret(secrets, candidatesOf(signature), `${id}.${timestamp}.`, payload)
  if (secretId === null) return refused('signature_mismatch')
  const skewSeconds = Math.abs(Math.floor(nowMs / 1000) - Number(timestamp))
  if (skewSeconds > toleranceSeconds) return refused('timestamp_out_of_range')
  return { ok: true, webhookId: id, secretId }
}

/** Whether the request carries any signature header of either family; one that is empty or alone counts as present. */
export function signaturePresence(rawHeaders: string[]): 'absent' | 'present' {
  return rawHeaders.some((text, index) => index % 2 === 0 && NAMES.has(text.toLowerCase())) ? 'present' : 'absent'
}

/** Every line of each header, of the one family that counts. */
function signatureLines(rawHeaders: string[]): Lines {
  const lines = {
    webhook: { id: [], timestamp: [], signature: [] } as Lines,
    svix: { id: [], timestamp: [], signature: [] } as Lines,
  }
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = NAMES.get((rawHeaders[index] as string).toLowerCase())
    if (name) lines[name.family][name.part].push(rawHeaders[index + 1] as string)
  }
  return PARTS.some((part) => lines.webhook[part].length > 0) ? lines.webhook : lines.svix
}

/** The MACs worth comparing. An entry of another version or shape is skipped; it does not spoil the others. */
function candidatesOf(signature: string): Buffer[] {
  const entries = signature.split(' ', MAX_ENTRIES)
  return entries
    .map((entry) => canonicalBase64(ENTRY.exec(entry)?.[1] ?? ''))
    .filter((mac) => mac?.length === 32) as Buffer[]
}

function matchingSecret(
  secrets: RecallSecret[],
  candidates: Buffer[],
  prefix: string,
  payload: Buffer | undefined,
): string | null {
  let matched: string | null = null
  for (const { id, key } of secrets) {
    const mac = createHmac('sha256', key).update(prefix)
    const expected = (payload ? mac.update(payload) : mac).digest()
    for (const candidate of candidates) {
      const isEqual = constantTimeEqual(candidate, expected) // compared even when one matched already
      if (isEqual && matched === null) matched = id
    }
  }
  return matched
}

function refused(reason: SignatureRefusal): SignatureVerdict {
  return { ok: false, reason }
}
