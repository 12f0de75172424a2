import { type Caller, missingScope, requireScope, resolveUser } from './bearer.ts'
import type { Mints } from './mints.ts'
import { apiRefusal, type Refusal, type ZoomReply } from './refusal.ts'
import type { Meeting, State } from './state.ts'
import type { ZoomRequest } from './zoom-request.ts'

const DEFAULT_TTL_SECONDS = 7200
const MAX_TTL_SECONDS = 365 * 24 * 3600
const JOIN_SCOPE = 'meeting:read:local_recording_token'
const WEBINAR_SCOPE = 'webinar:read:local_recording_token'
const TOKEN_SCOPES = ['user:read:token', 'user:read:token:admin', 'user:read:token:master']
const ZAK_SCOPES = ['user:read:zak', 'user:read:zak:admin']

const validation = (field: string, message: string) =>
  apiRefusal(400, 300, 'Validation Failed.', { errors: [{ field, message }] })

/** The endpoints that mint join tokens, OBF tokens and ZAKs. */
export function createMintRoutes(state: State, mints: Mints) {
  const notTheHost = (id: string): Refusal => {
    const byCode: Record<typeof state.modes.nonHostCode, Refusal> = {
      3001: apiRefusal(404, 3001, `Meeting does not exist: ${id}.`),
      1010: apiRefusal(404, 1010, 'User does not belong to this account.'),
      4700: apiRefusal(400, 4700, 'Invalid access token.'),
      124: apiRefusal(401, 124, 'Invalid access token.'),
      4711: missingScope([`${JOIN_SCOPE}:admin`]),
    }
    return byCode[state.modes.nonHostCode]
  }

  /** The meeting a path names, if the caller may see it as its host's. @throws Refusal 300, 3001, nonHostCode */
  function hostedMeeting(caller: Caller, id: string): Meeting {
    if (!/^\d{9,12}$/.test(id)) throw apiRefusal(400, 300, 'Invalid meeting ID.')
    const meeting = state.findMeeting(id)
    if (!meeting || meeting.ended) {
      if (state.modes.unknownMeetingCode === 300) throw apiRefusal(404, 300, 'Meeting ID does not exist.')
      throw apiRefusal(404, 3001, `Meeting does not exist: ${id}.`)
    }
    const host = state.users.get(meeting.host_id)
    const isSeen =
      caller.app.kind === 'user' ? meeting.host_id === caller.user.id : host?.account_id === caller.user.account_id
    if (!isSeen) throw notTheHost(id)
    return meeting
  }

  function localRecordingToken(request: ZoomRequest, caller: Caller, meeting: Meeting): ZoomReply {
    const host = state.users.get(meeting.host_id)
    if (host?.status !== 'active') throw apiRefusal(404, 1001, `User does not exist: ${meeting.host_id}.`)
    if (!host.local_recording) throw apiRefusal(400, 3000, 'Not allowed to start local recording.')
    const token = mints.mint({
      kind: 'join',
      userId: host.id,
      meetingId: meeting.id,
      skipsWaitingRoom: request.query.get('bypass_waiting_room') === 'true',
      isUserLevel: caller.app.kind === 'user',
    })
    request.facts.minted = token
    return { status: 200, body: { expire_in: 120, token } }
  }

  function ttlSeconds(query: URLSearchParams): number {
    const given = query.get('ttl')
    if (given === null) return DEFAULT_TTL_SECONDS
    const seconds = /^\d{1,9}$/.test(given) ? Number(given) : Number.NaN
    if (!(seconds >= 0 && seconds <= MAX_TTL_SECONDS)) throw validation('ttl', 'Invalid field.')
    return seconds
  }

  function sdkToken(request: ZoomRequest, caller: Caller, key: string, kind: 'obf' | 'zak' | 'token'): ZoomReply {
    const user = resolveUser(state, caller, key)
    if (!user.can_host) {
      throw apiRefusal(400, 3161, 'Your user account is not allowed meeting hosting and scheduling capabilities.')
    }
    const meetingId = request.query.get('meeting_id')
    if (meetingId !== null && !/^\d{9,12}$/.test(meetingId)) throw validation('meeting_id', 'Invalid field.')
    if (kind === 'obf' && meetingId === null && state.modes.obfRequiresMeetingId) {
      throw validation('meeting_id', 'Missing field.')
    }
    const token = mints.mint(
      {
        kind,
        userId: user.id,
        meetingId: kind === 'obf' ? meetingId : null,
        skipsWaitingRoom: false,
        isUserLevel: caller.app.kind === 'user',
      },
      ttlSeconds(request.query),
    )
    request.facts.minted = token
    return { status: 200, body: { token } }
  }

  return {
    hostedMeeting,
    /** GET /v2/meetings/{id}/jointoken/local_recording */
    joinToken(request: ZoomRequest, caller: Caller): ZoomReply {
      requireScope(caller, {
        granular: [JOIN_SCOPE, `${JOIN_SCOPE}:admin`],
        classic: ['meeting_token:read:local_recording', 'meeting_token:read:admin:local_recording'],
      })
      const meeting = hostedMeeting(caller, request.segments[2] ?? '')
      if (meeting.kind === 'webinar') throw apiRefusal(400, 3000, 'Cannot access Webinar information.')
      return localRecordingToken(request, caller, meeting)
    },
    /** GET /v2/webinars/{id}/jointoken/local_recording */
    webinarJoinToken(request: ZoomRequest, caller: Caller): ZoomReply {
      requireScope(caller, { granular: [WEBINAR_SCOPE, `${WEBINAR_SCOPE}:admin`] })
      const id = request.segments[2] ?? ''
      const meeting = hostedMeeting(caller, id)
      if (meeting.kind !== 'webinar') throw apiRefusal(404, 3001, `Webinar does not exist: ${id}.`)
      return localRecordingToken(request, caller, meeting)
    },
    /** GET /v2/users/{user}/token; without `type` Zoom gives the deprecated kind. */
    userToken(request: ZoomRequest, caller: Caller): ZoomReply {
      const type = request.query.get('type') ?? 'token'
      if (type !== 'token' && type !== 'zak' && type !== 'onbehalf') throw validation('type', 'Invalid field.')
      const zakScopes = type === 'zak' && state.modes.zakByZakScope ? ZAK_SCOPES : []
      const classic = ['user:read', 'user:read:admin', ...zakScopes]
      requireScope(caller, { granular: TOKEN_SCOPES, classic })
      if (type === 'onbehalf' && caller.app.kind === 'account') {
        throw apiRefusal(400, 4700, 'Invalid access token: this token type needs a user-level app.')
      }
      return sdkToken(request, caller, request.segments[2] ?? '', type === 'onbehalf' ? 'obf' : type)
    },
    /** GET /v2/users/{user}/zak */
    userZak(request: ZoomRequest, caller: Caller): ZoomReply {
      requireScope(caller, { granular: ZAK_SCOPES, classic: ['user_zak:read', 'user_zak:read:admin'] })
      return sdkToken(request, caller, request.segments[2] ?? '', 'zak')
    },
  }
}

export type MintRoutes = ReturnType<typeof createMintRoutes>
