import type { z } from 'zod'
import { type AppInput, appInput, type MeetingInput, meetingInput, type UserInput, userInput } from './schemas.ts'
import { ACCOUNT_SCOPES, DEFAULT_MODES, USER_SCOPES } from './seed.ts'
import { randomToken } from './tokens.ts'

/** A Zoom app as the Marketplace knows it. */
export interface App {
  client_id: string
  client_secrets: string[]
  name: string
  kind: 'user' | 'account'
  /** null: any absolute http(s) URL will do, which the real Zoom never allows. */
  redirect_uris: string[] | null
  scopes: string[]
  disabled: boolean
}

/** A Zoom user with the switches that change Zoom's answers. */
export interface User {
  id: string
  email: string
  account_id: string
  display_name: string
  pmi: string
  vanity_url: string
  verified: boolean | null
  status: 'active' | 'deactivated'
  /** Only owners and admins may add an app of kind `account`. */
  role: 'owner' | 'admin' | 'member'
  local_recording: boolean
  waiting_room: boolean
  can_host: boolean
  removed_app: boolean
  admin_disabled: boolean
  owner_removed: boolean
}

/** A meeting or webinar. */
export interface Meeting {
  id: string
  host_id: string
  topic: string
  kind: 'meeting' | 'webinar'
  type: number
  start_time: string
  waiting_room: boolean
  alternative_hosts: string
  /** Under way: listed by `type=live`. */
  live: boolean
  ended: boolean
}

/** A caller's mistake in the control API or the programmatic handle. */
export class ControlError extends Error {
  readonly expected: string[]
  constructor(message: string, expected: string[] = []) {
    super(expected.length > 0 ? `${message}: ${expected.join('; ')}` : message)
    this.expected = expected
  }
}

/** Checks a value from outside and says, field by field, what was expected. @throws ControlError */
export function parseInput<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const expected = result.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`)
  throw new ControlError(`Not a valid ${what}`, expected)
}

/** Later values win, but only where they were given. */
function merged<T extends object>(base: T, changes: { [K in keyof T]?: T[K] | undefined }): T {
  const given = Object.entries(changes).filter(([, value]) => value !== undefined)
  return { ...base, ...Object.fromEntries(given) }
}

/** The simulated Zoom's directory: apps, users, meetings, modes and its clock. */
export function createState() {
  const apps = new Map<string, App>()
  const users = new Map<string, User>()
  const meetings = new Map<string, Meeting>()
  const modes = { ...DEFAULT_MODES }
  let clockOffsetMs = 0

  /** A user by id or e-mail. */
  const findUser = (key: string): User | undefined =>
    users.get(key) ?? [...users.values()].find((user) => user.email.toLowerCase() === key.toLowerCase())

  /** A meeting by its number; a PMI is a meeting of its owner's. */
  function findMeeting(id: string): Meeting | undefined {
    const known = meetings.get(id)
    if (known) return known
    const owner = [...users.values()].find((user) => user.pmi === id)
    return owner && newMeeting(id, owner.id, { topic: `${owner.display_name}'s personal meeting`, type: 4 })
  }

  function upsertApp(input: AppInput): App {
    const { client_secret: secret, ...given } = parseInput(appInput, input, 'app')
    const kind = given.kind ?? apps.get(given.client_id)?.kind ?? 'user'
    const base = apps.get(given.client_id) ?? {
      client_id: given.client_id,
      client_secrets: [] as string[],
      name: given.client_id,
      kind,
      redirect_uris: null,
      scopes: kind === 'user' ? USER_SCOPES : ACCOUNT_SCOPES,
      disabled: false,
    }
    const app = merged<App>(base, { ...given, client_secrets: given.client_secrets ?? (secret ? [secret] : undefined) })
    if (app.client_secrets.length === 0) throw new ControlError('A new app needs client_secret or client_secrets')
    apps.set(app.client_id, app)
    return app
  }

  function upsertUser(input: UserInput): User {
    const given = parseInput(userInput, input, 'user')
    const existing =
      (given.id && users.get(given.id)) || (given.email && !given.id && findUser(given.email)) || undefined
    const id = existing?.id ?? given.id ?? randomToken(16)
    if (!existing && !given.email) throw new ControlError('A new user needs an email')
    const user = merged<User>(existing ?? newUser(id, given.email ?? '', users.size), { ...given, id })
    users.set(id, user)
    return user
  }

  function upsertMeeting(input: MeetingInput): Meeting {
    const { host, ...given } = parseInput(meetingInput, input, 'meeting')
    const existing = meetings.get(given.id)
    const owner = host === undefined ? undefined : findUser(host)
    if (host !== undefined && !owner) throw new ControlError('host: expected the id or e-mail of a known user')
    const hostId = owner?.id ?? existing?.host_id
    if (!hostId) throw new ControlError('A new meeting needs host, the id or e-mail of a known user')
    const meeting = merged<Meeting>(existing ?? newMeeting(given.id, hostId), { ...given, host_id: hostId })
    meetings.set(meeting.id, meeting)
    return meeting
  }

  return {
    apps,
    users,
    meetings,
    modes,
    findUser,
    findMeeting,
    upsertApp,
    upsertUser,
    upsertMeeting,
    /** The simulated time, in milliseconds since 1970. */
    now: () => Date.now() + clockOffsetMs,
    advanceClock(seconds: number) {
      clockOffsetMs += seconds * 1000
    },
    clear() {
      for (const map of [apps, users, meetings]) map.clear()
      Object.assign(modes, DEFAULT_MODES)
      clockOffsetMs = 0
    },
  }
}

export type State = ReturnType<typeof createState>

function newUser(id: string, email: string, index: number): User {
  return {
    id,
    email,
    account_id: randomToken(16),
    display_name: email.split('@')[0] ?? email,
    pmi: String(4_000_000_000 + index),
    vanity_url: '',
    verified: null,
    status: 'active',
    role: 'owner',
    local_recording: true,
    waiting_room: true,
    can_host: true,
    removed_app: false,
    admin_disabled: false,
    owner_removed: false,
  }
}

function newMeeting(id: string, hostId: string, given: Partial<Meeting> = {}): Meeting {
  return {
    id,
    host_id: hostId,
    topic: `Meeting ${id}`,
    kind: 'meeting',
    type: 2,
    start_time: '2030-01-01T09:00:00Z',
    waiting_room: true,
    alternative_hosts: '',
    live: false,
    ended: false,
    ...given,
  }
}
