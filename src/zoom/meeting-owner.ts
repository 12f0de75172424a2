import * as z from 'zod'
import { AppError } from '../errors.ts'
import { isMissingScope, isRefusalOfMeeting } from './faults.ts'
import { type ZoomHttp, type ZoomReply, ZoomTransportError } from './http.ts'
import { identifier } from './identifier.ts'
import { isMeetingId } from './meeting-id.ts'

/** `not_shown`: Zoom does not show the meeting to this user, so it is not theirs. `unknown`: nothing was said of the meeting. */
export type OwnerAnswer =
  | { answer: 'shown'; zoomUserId: string }
  | { answer: 'not_shown' }
  | { answer: 'no_scope' }
  | { answer: 'unknown' }

export interface OwnerRequest {
  meetingId: string
  accessToken: string
  timeoutMs: number
}

export interface ZoomMeetingOwner {
  ownerOf(request: OwnerRequest): Promise<OwnerAnswer>
}

/** Topic, password and whatever else the answer holds stay behind. */
const meeting = z.object({ host_id: identifier })

/**
 * Whose a meeting is, asked with the access token of somebody who may be its host: a user's token shows own meetings only. Sent once: a
 * bot waits. Every trouble is an answer. @throws invalid_request for a meeting id that is none
 */
export function createZoomMeetingOwner({ http }: { http: Pick<ZoomHttp, 'send'> }): ZoomMeetingOwner {
  return {
    async ownerOf({ meetingId, accessToken, timeoutMs }) {
      if (!isMeetingId(meetingId)) throw new AppError('invalid_request', 'A meeting number is 9 to 12 digits')
      const headers = { authorization: `Bearer ${accessToken}` }
      try {
        return judge(await http.send({ method: 'GET', path: `/meetings/${meetingId}`, headers, timeoutMs }))
      } catch (error) {
        if (error instanceof ZoomTransportError) return { answer: 'unknown' }
        throw error
      }
    },
  }
}

function judge(reply: ZoomReply): OwnerAnswer {
  if (reply.status === 200) {
    const { data } = meeting.safeParse(reply.body)
    return data ? { answer: 'shown', zoomUserId: data.host_id } : { answer: 'unknown' }
  }
  if (isMissingScope(reply)) return { answer: 'no_scope' }
  return { answer: isRefusalOfMeeting(reply) ? 'not_shown' : 'unknown' }
}
