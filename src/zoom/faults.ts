import * as z from 'zod'
import { AppError, type ErrorCode } from '../errors.ts'
import type { ZoomReply } from './http.ts'
import { retryAfterSeconds } from './retry-after.ts'
import { requiredScope, type TokenKind } from './scopes.ts'

/** The API refused the access token itself: whoever lent it may renew it once and try again. Holds nothing of the answer. */
export class AccessTokenRefused extends Error {
  override readonly name = 'AccessTokenRefused'
  constructor() {
    super('Zoom refused the access token')
  }
}

interface RefusalText {
  code: ErrorCode
  message: string
}

const looseText = z.string().optional().catch(undefined)
const refusalBody = z.object({ code: z.int().optional().catch(undefined), message: looseText })

const UNAVAILABLE: RefusalText = { code: 'zoom_unavailable', message: 'Zoom gave no usable answer; try again' }
const NOT_FOUND: RefusalText = {
  code: 'meeting_not_found',
  message: 'Zoom does not know this meeting, or does not show it to the connected user',
}
/**
 * Also for every code not listed: Zoom's code for "someone else's meeting" is not documented, and whatever a parsed 4xx means, this
 * user gets no token for this meeting now. It never says anything about the grant, and the code itself goes to the ledger.
 */
const NOT_THE_HOST: RefusalText = {
  code: 'not_the_host',
  message:
    'Zoom gives the connected user no token for this meeting; only its host, or an admin of their account, can get one',
}
const NO_LOCAL_RECORDING: RefusalText = {
  code: 'local_recording_disabled',
  message:
    "Local recording is off for this meeting's host; the host or an administrator can allow it in Zoom's settings",
}
const WEBINAR: RefusalText = {
  code: 'webinar_unsupported',
  message: 'This number is a webinar; tokens are for meetings only',
}

/** Whether the API refused the access token (401 with 124, or with nothing that says otherwise): ask this before `mintFault`. */
export function isAccessTokenRefused(reply: ZoomReply): boolean {
  if (reply.status !== 401 || isMissingScope(reply)) return false
  const { code } = refusalOf(reply)
  return code === undefined || code === 124
}

/** Whether the access token lacks a scope for what was asked: 4711, or another code whose text says so; 400, rarely 401. */
export function isMissingScope(reply: ZoomReply): boolean {
  const { code, message } = refusalOf(reply)
  if (!isRefusal(reply) || code === undefined) return false
  return code === 4711 || /does not contain scope/i.test(message) || (code === 4700 && /\bscopes?\b/i.test(message))
}

/**
 * Whether Zoom has said that this user does not see the meeting: which code it has for "someone else's" is not documented. A 401 is none
 * (124 may be that too, or an access token that ended early): it is about the token, and who is only asked whether a meeting is theirs
 * is no cause to spend a refresh token.
 */
export function isRefusalOfMeeting(reply: ZoomReply): boolean {
  const { code } = refusalOf(reply)
  return isRefusal(reply) && code !== undefined && code !== 124 && reply.status !== 401 && reply.status !== 429
}

/** Whether Zoom has said that there is no such user, or none in the account of whoever asks. */
export function isNoSuchUser(reply: ZoomReply): boolean {
  const { code } = refusalOf(reply)
  return isRefusal(reply) && (code === 1001 || code === 1010)
}

/** Our error for an answer that carried no token. Status and code go to the ledger, the text stays behind. */
export function mintFault(reply: ZoomReply, { kind }: { kind: TokenKind }): AppError {
  const { status } = reply
  const { code: zoomCode } = refusalOf(reply)
  const told = { zoomStatus: status, ...(zoomCode === undefined ? {} : { zoomCode }) }
  if (status === 429) {
    const wait = { retryAfterSeconds: retryAfterSeconds(reply.headers) }
    return new AppError('zoom_rate_limited', 'Zoom limits the requests of this account; try again', {
      ...told,
      ...wait,
    })
  }
  if (isMissingScope(reply)) {
    return new AppError(
      'missing_scope',
      `The connection lacks the scope ${requiredScope(kind)}; the host must reconnect`,
      told,
    )
  }
  const { code, message } = refusalText(reply, kind)
  return new AppError(code, message, told)
}

function refusalText(reply: ZoomReply, kind: TokenKind): RefusalText {
  const { code, message } = refusalOf(reply)
  // 5xx, a redirect, a 200 without a token, a firewall's page: none of them is Zoom's word about this meeting
  if (!isRefusal(reply) || code === undefined) return UNAVAILABLE
  switch (code) {
    case 124: // a 401 again after the token was renewed, or "only supports OAuth2": a token of a kind that we never send
      return UNAVAILABLE
    case 300:
      return kind === 'zak' ? UNAVAILABLE : NOT_FOUND // a ZAK request names no meeting, so its bad input is ours
    case 3001:
      return NOT_FOUND
    case 3000: // one code, two documented meanings
      if (/webinar/i.test(message)) return WEBINAR
      return /local recording/i.test(message) ? NO_LOCAL_RECORDING : NOT_THE_HOST
    default: // 1001, 1010, 3161, 4700 and what is not documented
      return NOT_THE_HOST
  }
}

function isRefusal({ status }: ZoomReply): boolean {
  return status >= 400 && status < 500
}

function refusalOf({ body }: ZoomReply): { code: number | undefined; message: string } {
  const parsed = refusalBody.safeParse(body)
  return { code: parsed.data?.code, message: parsed.data?.message ?? '' }
}

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

const tokenError = z.object({
  error: looseText,
  reason: looseText,
  error_description: looseText,
  message: looseText,
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
  if (error === 'invalid_client' || error === 'unauthorized_client')
    return { about: 'app', isCredentials: error === 'invalid_client' }
  if (/^invalid authorization code/i.test(reason ?? '')) return { about: 'code' }
  // an older form of the same answer has "invalid_request" beside this very reason; invalid_request alone proves nothing
  const isInvalidToken = error === 'invalid_request' && /^invalid token!?$/i.test(reason?.trim() ?? '')
  if (error === 'invalid_grant' || isInvalidToken) return { about: 'grant', reason: 'invalid_grant', bare: true }
  return { about: 'unknown' }
}

/** The number in a field of its own, else the one that stands alone in a text. An authorization code may hold any digits. */
function zoomCodeOf({
  code,
  error,
  reason,
  error_description,
  message,
}: z.infer<typeof tokenError>): number | undefined {
  if (code !== undefined && /^[0-9]{3,5}$/.test(String(code))) return Number(code)
  const texts = [error, reason, error_description, message].filter((each) => !/authorization code/i.test(each ?? ''))
  for (const each of texts) {
    const found = /(?:^|[\s(:#[])(47[0-9]{2})(?:$|[\s).,:;\]])/.exec(each ?? '')?.[1]
    if (found !== undefined) return Number(found)
  }
  return undefined
}
