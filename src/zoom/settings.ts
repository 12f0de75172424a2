import * as z from 'zod'
import { isMissingScope } from './faults.ts'
import { type ZoomHttp, type ZoomReply, ZoomTransportError } from './http.ts'

/** What decides about waiting rooms and recording; null where Zoom's answer did not name it. */
export interface UserSettings {
  localRecording: boolean | null
  autoRecording: string | null
  waitingRoom: boolean | null
  joinBeforeHost: boolean | null
}

export type SettingsOutcome = { outcome: 'read'; settings: UserSettings } | { outcome: 'no_scope' | 'unavailable' }

const flag = z.boolean().nullable().catch(null)
const answer = z.object({
  schedule_meeting: z.object({ join_before_host: flag }).partial().catch({}).optional(),
  in_meeting: z.object({ waiting_room: flag }).partial().catch({}).optional(),
  recording: z
    .object({
      local_recording: flag,
      auto_recording: z
        .string()
        .regex(/^[a-z_]{1,20}$/)
        .nullable()
        .catch(null),
    })
    .partial()
    .catch({})
    .optional(),
})

/**
 * The settings of whose access token it is, or of somebody of the account of an admin's, in one request without a retry: they explain and decide nothing, so whatever goes
 * wrong is an outcome. An administrator's locks cannot be seen here.
 * @see https://developers.zoom.us/docs/api/users/#tag/users/get/users/{userId}/settings
 */
export function createZoomSettings({ http }: { http: Pick<ZoomHttp, 'send'> }) {
  return {
    async read(accessToken: string, timeoutMs: number, zoomUserId: string | null = null): Promise<SettingsOutcome> {
      const user = zoomUserId === null ? 'me' : encodeURIComponent(zoomUserId)
      const headers = { authorization: `Bearer ${accessToken}` }
      try {
        return judge(await http.send({ method: 'GET', path: `/users/${user}/settings`, headers, timeoutMs }))
      } catch (error) {
        if (error instanceof ZoomTransportError) return { outcome: 'unavailable' }
        throw error
      }
    },
  }
}

function judge(reply: ZoomReply): SettingsOutcome {
  if (isMissingScope(reply)) return { outcome: 'no_scope' }
  const { data } = answer.safeParse(reply.status === 200 ? reply.body : undefined)
  if (!data) return { outcome: 'unavailable' }
  return {
    outcome: 'read',
    settings: {
      localRecording: data.recording?.local_recording ?? null,
      autoRecording: data.recording?.auto_recording ?? null,
      waitingRoom: data.in_meeting?.waiting_room ?? null,
      joinBeforeHost: data.schedule_meeting?.join_before_host ?? null,
    },
  }
}
