import * as z from 'zod'
import { AppError } from '../errors.ts'
import { AccessTokenRefused, isAccessTokenRefused, mintFault } from './faults.ts'
import type { ZoomHttp, ZoomReply } from './http.ts'
import { isMeetingId } from './meeting-id.ts'
import { getWithOneRetry } from './retry.ts'
import type { TokenKind } from './scopes.ts'
import { zoomToken } from './token-set.ts'
import { throwUnreachable } from './unreachable.ts'

export interface MintRequest {
  kind: TokenKind
  meetingId: string
  accessToken: string
  /** What the caller can still wait, retry included; two attempts and a pause by default. */
  timeoutMs?: number
}

export interface ZoomMint {
  mint(request: MintRequest): Promise<string>
}

/** Whoever holds a ZAK is its user, so it lives only as long as a bot needs to start joining. */
const ZAK_TTL_SECONDS = 300

const mintReply = z.object({ token: zoomToken })

/**
 * The three calls that make a bot's token. `timeoutMs` is that of one attempt. Each mint is a call of its own: nothing is cached or
 * shared, since a join token lives 120 s and serves once.
 * `mint` @throws AccessTokenRefused when the access token itself was refused (renew it and try once more)
 * @throws zoom_timeout, zoom_unavailable, zoom_rate_limited, missing_scope, not_the_host, meeting_not_found, webinar_unsupported,
 * local_recording_disabled; invalid_request for a meeting id that is none
 */
export function createZoomMint({ http, timeoutMs }: { http: Pick<ZoomHttp, 'send'>; timeoutMs: number }): ZoomMint {
  return {
    async mint(request) {
      const budget = { attemptTimeoutMs: timeoutMs, budgetMs: request.timeoutMs ?? 2 * timeoutMs + 250 }
      const headers = { authorization: `Bearer ${request.accessToken}` }
      return judgeMint(
        await getWithOneRetry(http, { path: targetOf(request), headers }, budget).catch(throwUnreachable),
        request.kind,
      )
    },
  }
}

function targetOf({ kind, meetingId }: MintRequest): string {
  // the last gate before a path: encoding would not help, a URL parser removes %2e%2e too
  if (!isMeetingId(meetingId)) throw new AppError('invalid_request', 'A meeting number is 9 to 12 digits')
  switch (kind) {
    case 'join':
      return `/meetings/${meetingId}/jointoken/local_recording?bypass_waiting_room=true`
    case 'obf':
      return `/users/me/token?type=onbehalf&meeting_id=${meetingId}`
    case 'zak':
      return `/users/me/token?type=zak&ttl=${ZAK_TTL_SECONDS}`
  }
}

/** Zoom's token, opaque; it is checked because it becomes the body of our answer. */
function judgeMint(reply: ZoomReply, kind: TokenKind): string {
  if (isAccessTokenRefused(reply)) throw new AccessTokenRefused()
  const { data } = mintReply.safeParse(reply.status === 200 ? reply.body : undefined)
  if (!data) throw mintFault(reply, { kind })
  return data.token
}
