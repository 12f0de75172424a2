import * as z from 'zod'
import { AppError } from '../errors.ts'
import { AccessTokenRefused, isAccessTokenRefused, isMissingScope } from './faults.ts'
import type { ZoomHttp, ZoomReply } from './http.ts'
import { getWithOneRetry } from './retry.ts'
import { retryAfterSeconds } from './retry-after.ts'
import { throwUnreachable } from './unreachable.ts'

export interface ListPage<Item> {
  items: Item[]
  /** Empty after the last page. */
  nextPageToken: string
  /** How long to leave this customer account alone before the next call. */
  pauseMs: number
}

export interface ListRequest {
  path: string
  query: Record<string, string>
  accessToken: string
  /** Of the page before; empty for the first. */
  pageToken: string
}

const PAGE_SIZE = 300
// 300 meetings with a topic, an agenda and links each, or 300 users with all that Zoom knows of them, all of it at its longest
const PAGE_BYTES = 2 * 1024 * 1024
const ATTEMPT_MS = 5000
const DAY_SECONDS = 24 * 3600
/** Where Zoom does not say what is left: five calls a second, a quarter of what a Pro account has. */
const UNKNOWN_BUDGET_MS = 200
const SECOND_MS = 1000
/** The rest of the second's and of the day's calls is for others. */
const LEAST_LEFT = { second: 0.25, day: 0.1 }

const pageToken = z.object({ next_page_token: z.string().max(2048).optional().catch(undefined) })

export interface ListDeps {
  http: Pick<ZoomHttp, 'send'>
  now: () => number
}

/**
 * One page of one of Zoom's lists, and how long to rest after it. `itemsOf` gives undefined for an answer that is none.
 * @throws AccessTokenRefused when the access token itself was refused
 * @throws missing_scope, zoom_rate_limited (with up to a day in `retryAfterSeconds`), zoom_timeout, zoom_unavailable
 * @see https://developers.zoom.us/docs/api/rate-limits
 */
export async function readPage<Item>(
  { http, now }: ListDeps,
  { path, query, accessToken, pageToken: token }: ListRequest,
  itemsOf: (reply: ZoomReply) => Item[] | undefined,
): Promise<ListPage<Item>> {
  const request = {
    path,
    query: { ...query, page_size: String(PAGE_SIZE), ...(token ? { next_page_token: token } : {}) },
    headers: { authorization: `Bearer ${accessToken}` },
    maxBodyBytes: PAGE_BYTES,
  }
  const budget = { attemptTimeoutMs: ATTEMPT_MS, budgetMs: 2 * ATTEMPT_MS + 250 }
  const reply = await getWithOneRetry(http, request, budget).catch(throwUnreachable)
  refuse(reply, now())
  const items = itemsOf(reply)
  if (!items)
    throw new AppError('zoom_unavailable', 'Zoom gave no usable list; try again', { zoomStatus: reply.status })
  const nextPageToken = pageToken.safeParse(reply.body).data?.next_page_token ?? ''
  return { items, nextPageToken, pauseMs: pauseMs(reply.headers, now()) }
}

function refuse(reply: ZoomReply, nowMs: number): void {
  const { status: zoomStatus, headers } = reply
  if (isAccessTokenRefused(reply)) throw new AccessTokenRefused()
  if (isMissingScope(reply))
    throw new AppError('missing_scope', 'The connection lacks the scope for this list.', { zoomStatus })
  if (zoomStatus === 429) {
    throw new AppError('zoom_rate_limited', 'Zoom limits the requests of this account; try again', {
      zoomStatus,
      retryAfterSeconds: retryAfterSeconds(headers, nowMs, DAY_SECONDS),
    })
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
