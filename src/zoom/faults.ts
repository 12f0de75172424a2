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

const refusalBody = z.object({
  code: z.int().optional().catch(undefined),
  message: z.string().optional().catch(undefined),
})

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
  const { code } = refusalOf(reply)
  return reply.status === 401 && !isMissingScope(reply) && (code === undefined || code === 124)
}

/** Whether the access token lacks a scope for what was asked: 4711, or another code whose text says so; 400, rarely 401. */
export function isMissingScope(reply: ZoomReply): boolean {
  const { code, message } = refusalOf(reply)
  if (!isRefusal(reply) || code === undefined) return false
  return code === 4711 || /does not contain scope/i.test(message) || (code === 4700 && /\bscopes?\b/i.test(message))
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
