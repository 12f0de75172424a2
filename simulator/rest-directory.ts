import { type Caller, requireScope, resolveUser } from './bearer.ts'
import { apiRefusal, type ZoomReply } from './refusal.ts'
import type { MintRoutes } from './rest-mint.ts'
import type { Meeting, State, User } from './state.ts'
import { randomToken } from './tokens.ts'
import type { ZoomRequest } from './zoom-request.ts'

const MAX_PAGE_SIZE = 300
const DEFAULT_PAGE_SIZE = 30
const PAGE_TOKEN_LIFE_MS = 15 * 60 * 1000
const LIST_TYPES = ['scheduled', 'live', 'upcoming', 'upcoming_meetings', 'previous_meetings']

const both = (scope: string) => [scope, `${scope}:admin`]
const ok = (body: unknown): ZoomReply => ({ status: 200, body })

/** The endpoints that read users, their settings and their meetings. */
export function createDirectoryRoutes(state: State, mintRoutes: Pick<MintRoutes, 'hostedMeeting'>) {
  const pageTokens = new Map<string, { offset: number; path: string; until: number }>()

  /** One page of a list; a token is good for 15 minutes and for the path it came from. @throws Refusal 300 */
  function page<T>({ query, path }: ZoomRequest, items: T[]) {
    const size = Number(query.get('page_size') ?? DEFAULT_PAGE_SIZE)
    if (!Number.isInteger(size) || size < 1 || size > MAX_PAGE_SIZE) throw invalid('page_size')
    const given = query.get('next_page_token') || null
    const known = given === null ? { offset: 0, path, until: Number.POSITIVE_INFINITY } : pageTokens.get(given)
    if (!known || known.path !== path || known.until <= state.now()) throw invalid('next_page_token')
    const end = known.offset + size
    let next = ''
    if (end < items.length) {
      next = randomToken(24)
      pageTokens.set(next, { offset: end, path, until: state.now() + PAGE_TOKEN_LIFE_MS })
    }
    return { slice: items.slice(known.offset, end), size, next }
  }

  const describeUser = (user: User) => ({
    id: user.id,
    account_id: user.account_id,
    email: user.email,
    display_name: user.display_name,
    first_name: user.display_name.split(' ')[0] ?? '',
    last_name: user.display_name.split(' ').slice(1).join(' '),
    type: 2,
    role_name: { owner: 'Owner', admin: 'Admin', member: 'Member' }[user.role],
    pmi: Number(user.pmi),
    use_pmi: false,
    personal_meeting_url: `https://us02web.zoom.us/j/${user.pmi}?pwd=simulated`,
    vanity_url: user.vanity_url,
    host_key: '123456', // Zoom sends it, so that whoever stores it by accident is found out
    verified: (user.verified ?? state.modes.emailVerified) ? 1 : 0,
    status: user.status,
    cluster: 'us02',
    timezone: 'UTC',
  })

  const describeMeeting = (meeting: Meeting) => ({
    id: Number(meeting.id),
    uuid: Buffer.from(`uuid-${meeting.id}`).toString('base64'),
    host_id: meeting.host_id,
    topic: meeting.topic,
    type: meeting.type,
    start_time: meeting.start_time,
    duration: 60,
    timezone: 'UTC',
    join_url: `https://us02web.zoom.us/j/${meeting.id}?pwd=simulated`,
  })

  return {
    /** GET /v2/users/{user} */
    user(request: ZoomRequest, caller: Caller): ZoomReply {
      requireScope(caller, { granular: both('user:read:user'), classic: ['user:read', 'user:read:admin'] })
      return ok(describeUser(resolveUser(state, caller, request.segments[2] ?? '')))
    },
    /** GET /v2/users */
    users(request: ZoomRequest, caller: Caller): ZoomReply {
      requireScope(caller, { granular: ['user:read:list_users:admin'], classic: ['user:read:admin'] })
      const status = request.query.get('status') === 'inactive' ? 'deactivated' : 'active'
      const inAccount = (user: User) => user.account_id === caller.user.account_id && user.status === status
      const users = [...state.users.values()].filter(inAccount)
      const { slice, size, next } = page(request, users)
      const shown = slice.map((user) => ({ ...describeUser(user), host_key: undefined }))
      return ok({ page_size: size, total_records: users.length, next_page_token: next, users: shown })
    },
    /** GET /v2/users/{user}/settings */
    settings(request: ZoomRequest, caller: Caller): ZoomReply {
      requireScope(caller, { granular: both('user:read:settings'), classic: ['user:read', 'user:read:admin'] })
      const user = resolveUser(state, caller, request.segments[2] ?? '')
      if (request.query.get('option') === 'meeting_security') {
        const security = { waiting_room: user.waiting_room, end_to_end_encrypted_meetings: false }
        return ok({ meeting_security: { ...security, only_authenticated_can_join_from_webclient: false } })
      }
      return ok({
        schedule_meeting: { join_before_host: false },
        in_meeting: { waiting_room: user.waiting_room },
        recording: { local_recording: user.local_recording, auto_recording: 'none' },
      })
    },
    /** GET /v2/users/{user}/meetings: scheduled ones, as at Zoom without instant meetings and the PMI, or those under way */
    meetings(request: ZoomRequest, caller: Caller): ZoomReply {
      requireScope(caller, {
        granular: both('meeting:read:list_meetings'),
        classic: ['meeting:read', 'meeting:read:admin'],
      })
      const user = resolveUser(state, caller, request.segments[2] ?? '')
      const type = request.query.get('type') ?? 'scheduled'
      if (!LIST_TYPES.includes(type)) throw invalid('type')
      const isListed = (meeting: Meeting) =>
        meeting.host_id === user.id &&
        meeting.kind === 'meeting' &&
        (type === 'live' ? meeting.live : meeting.type !== 1) &&
        !meeting.ended
      const all = [...state.meetings.values()].filter(isListed)
      const { slice, size, next } = page(request, all)
      const body = { page_size: size, total_records: all.length, next_page_token: next }
      return ok({ ...body, meetings: slice.map(describeMeeting) })
    },
    /** GET /v2/meetings/{id} */
    meeting(request: ZoomRequest, caller: Caller): ZoomReply {
      requireScope(caller, { granular: both('meeting:read:meeting'), classic: ['meeting:read', 'meeting:read:admin'] })
      const meeting = mintRoutes.hostedMeeting(caller, request.segments[2] ?? '')
      if (meeting.kind === 'webinar') throw apiRefusal(400, 3000, 'Cannot access Webinar information.')
      const settings = {
        waiting_room: meeting.waiting_room,
        meeting_authentication: false,
        join_before_host: false,
        alternative_hosts: meeting.alternative_hosts,
      }
      const hostEmail = state.users.get(meeting.host_id)?.email
      return ok({ ...describeMeeting(meeting), host_email: hostEmail, assistant_id: '', status: 'waiting', settings })
    },
    clear: () => pageTokens.clear(),
  }
}

const invalid = (field: string) =>
  apiRefusal(400, 300, 'Validation Failed.', { errors: [{ field, message: 'Invalid field.' }] })
