import * as z from 'zod'
import { isNoSuchUser } from './faults.ts'
import type { ZoomReply } from './http.ts'
import { identifier } from './identifier.ts'
import { isMeetingId } from './meeting-id.ts'
import { type ListDeps, type ListPage, readPage } from './paged-list.ts'

/** `scheduled`: without instant meetings and the personal room; `live`: whatever is under way. */
export type MeetingListType = 'scheduled' | 'live'

export interface MeetingListRequest {
  accessToken: string
  /** Somebody of the account, which only an account-level app may ask for; null: whose access token it is. */
  zoomUserId: string | null
  type: MeetingListType
  /** Of the page before; empty for the first. */
  pageToken: string
}

/** Whose host Zoom names: null where it names none. */
export interface ListedMeeting {
  meetingId: string
  hostId: string | null
}

export interface ZoomMeetings {
  list(request: MeetingListRequest): Promise<ListPage<ListedMeeting>>
}

const page = z.object({
  meetings: z.array(z.object({ id: z.unknown().optional(), host_id: z.unknown().optional() })).max(1000),
})

/**
 * One page of a user's meetings: none of somebody who is not of the account any more.
 * `list` @throws AccessTokenRefused, missing_scope, zoom_rate_limited, zoom_timeout, zoom_unavailable, as `readPage`
 */
export function createZoomMeetings(deps: ListDeps): ZoomMeetings {
  return {
    list({ accessToken, zoomUserId, type, pageToken }) {
      const user = zoomUserId === null ? 'me' : encodeURIComponent(zoomUserId)
      const request = { path: `/users/${user}/meetings`, query: { type }, accessToken, pageToken }
      return readPage(deps, request, (reply) => (zoomUserId !== null && isNoSuchUser(reply) ? [] : meetingsOf(reply)))
    },
  }
}

function meetingsOf({ status, body }: ZoomReply): ListedMeeting[] | undefined {
  const { data } = page.safeParse(status === 200 ? body : undefined)
  return data?.meetings.flatMap(({ id, host_id: host }) => {
    const meetingId = String(id)
    return isMeetingId(meetingId) ? [{ meetingId, hostId: identifier.safeParse(host).data ?? null }] : []
  })
}
