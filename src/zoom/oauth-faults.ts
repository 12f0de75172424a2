import * as z from 'zod'
import type { ZoomReply } from './http.ts'

/** Why Zoom refused a refresh token. `bare` ones can also be the echo of a rotation of our own whose answer was lost. */
export type RejectionReason =
  | 'invalid_grant'
  | 'superseded'
  | 'user_removed'
  | 'scopes_changed'
  | 'token_not_found'
  | 'outside_tolerance'

/** What a parsed 4xx of the token endpoint is about. */
export type TokenRefusal =
  | { about: 'app'; zoomCode?: number; isCredentials: boolean }
  | { about: 'user' }
  | { about: 'grant'; reason: RejectionReason; bare: boolean }
  | { about: 'code' }
  | { about: 'unknown' }

const text = z.string().optional().catch(undefined)
const tokenError = z.object({
  error: text,
  reason: text,
  error_description: text,
  message: text,
  code: z.union([z.int(), z.string()]).optional().catch(undefined),
})

/** Invalid client id, client secret: the other secret of a rotation may still be right. */
const CREDENTIAL_CODES = [4702, 4704]
/** Missing credentials or grant type, redirect mismatch, app disabled: no grant is to blame. */
const APP_CODES = [4706, 4709, 4717]
const CODE_CODES = [4733, 4734]
const GRANT_CODES: Record<number, RejectionReason> = {
  4711: 'scopes_changed',
  4735: 'user_removed',
  4737: 'token_not_found',
  4740: 'outside_tolerance',
  4741: 'superseded',
}
const BARE: readonly RejectionReason[] = ['invalid_grant', 'outside_tolerance', 'superseded']

/**
 * The token endpoint's table. Null means that the body is not an answer of the token endpoint at all (HTML, a gateway's JSON).
 * Codes that pass (4700, 4732) or are ours to fix (4705, 4724) are `unknown`: no verdict on anything.
 */
export function tokenRefusalOf(reply: ZoomReply): TokenRefusal | null {
  const body = tokenError.safeParse(reply.body).data
  if (!body || (body.error === undefined && body.reason === undefined && body.code === undefined)) return null
  const zoomCode = zoomCodeOf(body)
  if (zoomCode !== undefined) {
    const named = refusalByCode(zoomCode)
    if (named) return named
  }
  return refusalByName(body)
}

function refusalByCode(zoomCode: number): TokenRefusal | null {
  if (CREDENTIAL_CODES.includes(zoomCode)) return { about: 'app', zoomCode, isCredentials: true }
  if (APP_CODES.includes(zoomCode)) return { about: 'app', zoomCode, isCredentials: false }
  if (CODE_CODES.includes(zoomCode)) return { about: 'code' }
  if (zoomCode === 4738) return { about: 'user' }
  const reason = GRANT_CODES[zoomCode]
  if (reason) return { about: 'grant', reason, bare: BARE.includes(reason) }
  return zoomCode >= 4700 && zoomCode < 4800 ? { about: 'unknown' } : null
}

function refusalByName({ error, reason }: z.infer<typeof tokenError>): TokenRefusal {
  if (error === 'invalid_client' || error === 'unauthorized_client') return { about: 'app', isCredentials: error === 'invalid_client' }
  if (/^invalid authorization code/i.test(reason ?? '')) return { about: 'code' }
  // an older form of the same answer has "invalid_request" beside this very reason; invalid_request alone proves nothing
  const isInvalidToken = error === 'invalid_request' && /^invalid token!?$/i.test(reason?.trim() ?? '')
  if (error === 'invalid_grant' || isInvalidToken) return { about: 'grant', reason: 'invalid_grant', bare: true }
  return { about: 'unknown' }
}

/** The number in a field of its own, else the one that stands alone in a text. An authorization code may hold any digits. */
function zoomCodeOf({ code, error, reason, error_description, message }: z.infer<typeof tokenError>): number | undefined {
  if (code !== undefined && /^[0-9]{3,5}$/.test(String(code))) return Number(code)
  const texts = [error, reason, error_description, message].filter((each) => !/authorization code/i.test(each ?? ''))
  for (const each of texts) {
    const found = /(?:^|[\s(:#[])(47[0-9]{2})(?:$|[\s).,:;\]])/.exec(each ?? '')?.[1]
    if (found !== undefined) return Number(found)
  }
  return undefined
}
