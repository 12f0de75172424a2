import * as z from 'zod'
import { AppError } from '../errors.ts'
import { AccessTokenRefused, isAccessTokenRefused, isMissingScope } from './faults.ts'
import type { ZoomHttp, ZoomReply } from './http.ts'
import { isMeetingId } from './meeting-id.ts'
import { getWithOneRetry } from './retry.ts'
import { retryAfterSeconds } from './retry-after.ts'
import { throwUnreachable } from './unreachable.ts'

/** `scheduled`: without instant meetings and the personal room; `live`: whatever is under way. */
export type MeetingListType = 'scheduled' | 'live'

export interface MeetingListRequest {
  accessToken: string
  type: MeetingListType
  /** Of the page before; empty for the first. */
  pageToken: string
}

export interface MeetingPage {
  /** Whose host Zoom names: null where it names none. */
  meetings: { meetingId: string; hostId: string | null }[]
  /** Empty after the last page. */
  nextPageToken: string
  /** How long to leave this customer account alone before the next call. */
  pauseMs: number
}

export interface ZoomMeetings {
  list(request: MeetingListRequest): Promise<MeetingPage>
}

const PAGE_SIZE = 300
// 300 meetings with a topic, an agenda and links each, all of it at its longest
const PAGE_BYTES = 2 * 1024 * 1024
const ATTEMPT_MS = 5000
const DAY_SECONDS = 24 * 3600
/** Where Zoom does not say what is left: five calls a second, a quarter of what a Pro account has. */
const UNKNOWN_BUDGET_MS = 200
const SECOND_MS = 1000
/** The rest of the second's and of the day's calls is for others. */
const LEAST_LEFT = { second: 0.25, day: 0.1 }

const page = z.object({
  next_page_token: z.string().max(2048).optional().catch(undefined),
  meetings: z.array(z.object({ id: z.unknown().optional(), host_id: z.unknown().optional() })).max(1000),
})
const identifier = z.string().regex(/^[\x21-\x7e]{1,128}$/)

/**
 * One page of the meetings of an access token's user.
 * `list` @throws AccessTokenRefused when the access token itself was refused
 * @throws missing_scope, zoom_rate_limited (with up to a day in `retryAfterSeconds`), zoom_timeout, zoom_unavailable
 * @see https://developers.zoom.us/docs/api/rate-limits
 */
export function createZoomMeetings({ http, now }: { http: Pick<ZoomHttp, 'send'>; now: () => number }): ZoomMeetings {
  return {
    async list({ accessToken, type, pageToken }) {
      const query = { type, page_size: String(PAGE_SIZE), ...(pageToken ? { next_page_token: pageToken } : {}) }
      const headers = { authorization: `Bearer ${accessToken}` }
      const request = { path: '/users/me/meetings', query, headers, maxBodyBytes: PAGE_BYTES }
      const budget = { attemptTimeoutMs: ATTEMPT_MS, budgetMs: 2 * ATTEMPT_MS + 250 }
      return judge(await getWithOneRetry(http, request, budget).catch(throwUnreachable), now())
    },
  }
}

function judge(reply: ZoomReply, nowMs: number): MeetingPage {
  const { status, headers } = reply
  if (isAccessTokenRefused(reply)) throw new AccessTokenRefused()
  if (isMissingScope(reply))
    throw new AppError('missing_scope', 'The connection lacks the scope that lists meetings.', { zoomStatus: status })
  if (status === 429) {
    throw new AppError('zoom_rate_limited', 'Zoom limits the requests of this account; try again', {
      zoomStatus: status,
      retryAfterSeconds: retryAfterSeconds(headers, nowMs, DAY_SECONDS),
    })
  }
  const { data } = page.safeParse(status === 200 ? reply.body : undefined)
  if (!data) throw new AppError('zoom_unavailable', 'Zoom gave no usable list; try again', { zoomStatus: status })
  return {
    meetings: data.meetings.flatMap(({ id, host_id: host }) => {
      const meetingId = String(id)
      return isMeetingId(meetingId) ? [{ meetingId, hostId: identifier.safeParse(host).data ?? null }] : []
    }),
    nextPageToken: data.next_page_token ?? '',
    pauseMs: pauseMs(headers, nowMs),
  }
}

/** By what Zoom says is left: the next call at once, in the next second, or on the next day. */
function pauseMs(headers: Record<string, string>, nowMs: number): number {
  const number = (name: string) => Number(headers[`x-ratelimit-${name}`] || Number.NaN)
  const share = number('remaining') / number('limit')
  if (!Number.isFinite(share)) return UNKNOWN_BUDGET_MS
  const isDaily = /daily/i.test(headers['x-ratelimit-type'] ?? '')
  if (share > (isDaily ? LEAST_LEFT.day : LEAST_LEFT.second)) return isDaily ? UNKNOWN_BUDGET_MS : 0
  const untilResetMs = number('reset') * 1000 - nowMs
  if (!isDaily) return Math.min(SECOND_MS, Math.max(50, untilResetMs || SECOND_MS))
  return Math.min(DAY_SECONDS * 1000, Math.max(3600 * 1000, untilResetMs || 0))
}
