import type { AuthorizeParameters } from './authorize.ts'
import type { CallResult } from './call.ts'
import type { FaultInput } from './fault-schema.ts'
import type { FaultHandle } from './faults.ts'
import type { Issued } from './grants.ts'
import type { LogEntry } from './log.ts'
import type { JoinResult } from './mints.ts'
import type { RecallCaller } from './recall.ts'
import { Refusal } from './refusal.ts'
import {
  type AppInput,
  type JoinInput,
  type LogFilter,
  type MeetingInput,
  type ModesInput,
  modesInput,
  type RecallCallInput,
  type SimulatorModes,
  type UserInput,
  type WebhookInput,
} from './schemas.ts'
import { DEFAULT_SEED, type Seed } from './seed.ts'
import { type App, ControlError, type Meeting, parseInput, type State, type User } from './state.ts'
import { deliverEvent, happenAtZoom } from './webhook.ts'
import type { Zoom } from './zoom.ts'

export interface SimulatorOptions {
  /** 0, the default, takes any free port. */
  port?: number
  host?: string
  modes?: ModesInput
  /** Added to the default apps, users and meetings, and restored with them on reset. */
  seed?: Seed
}

/** A running simulator. The control API under /_sim does the same over HTTP. */
export interface Simulator {
  url: string
  /** For ZOOM_OAUTH_BASE_URL. */
  oauthBaseUrl: string
  /** For ZOOM_API_BASE_URL. */
  apiBaseUrl: string
  addApp(app: AppInput): App
  addUser(user: UserInput): User
  addMeeting(meeting: MeetingInput): Meeting
  setModes(modes: ModesInput): SimulatorModes
  setFault(fault: FaultInput): FaultHandle
  clearFaults(): void
  /** Lets go on what `hold` faults keep, all of them or those of one. */
  release(faultId?: string): void
  /** Back to the state after start: seed, modes, no faults, no grants, an empty log. */
  reset(): void
  log(filter?: LogFilter): LogEntry[]
  /** Settles with the matching lines of the log once there are at least `count`. */
  waitFor(filter: LogFilter, count?: number): Promise<LogEntry[]>
  /** Every token the mint endpoints handed out, in order; past 200,000 the older half is forgotten. */
  readonly minted: readonly string[]
  /** Every code, access, refresh and minted token ever handed out: what no log and no dump may contain. */
  readonly issued: readonly Issued[]
  /** Number of refreshes that succeeded. */
  readonly refreshes: number
  /** The consent page in one step: `user` (id or e-mail) allows the request. @throws ControlError */
  authorize(request: AuthorizeParameters & { user: string }): { code: string; location: string }
  expireAccessTokens(user?: string): number
  revokeGrant(user: string, clientId?: string): number
  /** The one refresh token Zoom would take from this user and app now, or null. */
  liveRefreshToken(user: string, clientId: string): string | null
  /** What an SDK join with this token would come to. */
  join(input: JoinInput): JoinResult
  recallCall(input: RecallCallInput): Promise<CallResult>
  /** Delivers one of Zoom's events, signed, once. */
  deliverEvent(input: WebhookInput): Promise<CallResult>
  /** Moves Zoom's clock forward; the clock of Recall's signatures stays. */
  advanceClock(seconds: number): void
  close(): Promise<void>
}

/** The part of the handle that the control API mirrors. */
export type Controls = Omit<Simulator, 'url' | 'oauthBaseUrl' | 'apiBaseUrl' | 'close'>

interface Parts {
  state: State
  zoom: Zoom
  recall: RecallCaller
  recallApi: { clear(): void }
  seed: Seed
  modes: ModesInput
}

/** Builds the handle's functions and brings the simulator into its first state. */
export function createControls({ state, zoom, recall, recallApi, seed, modes: firstModes }: Parts): Controls {
  const userIdOf = (key: string) => state.findUser(key)?.id ?? key
  const controls: Controls = {
    addApp: state.upsertApp,
    addUser(input) {
      const user = state.upsertUser(input)
      if (user.removed_app) zoom.grants.revoke(user.id)
      return user
    },
    addMeeting: state.upsertMeeting,
    setModes: (modes) => Object.assign(state.modes, given(parseInput(modesInput, modes, 'set of modes'))),
    setFault: zoom.faults.add,
    clearFaults: zoom.faults.clear,
    release: zoom.faults.release,
    reset() {
      zoom.clear()
      recall.clear()
      recallApi.clear()
      state.clear()
      for (const part of [DEFAULT_SEED, seed] as Seed[]) {
        for (const app of part.apps ?? []) state.upsertApp(app)
        for (const user of part.users ?? []) state.upsertUser(user)
        for (const meeting of part.meetings ?? []) state.upsertMeeting(meeting)
        controls.setModes(part.modes ?? {})
        for (const fault of part.faults ?? []) zoom.faults.add(fault)
      }
      controls.setModes(firstModes)
    },
    log: zoom.log.list,
    waitFor: zoom.log.waitFor,
    minted: zoom.mints.minted,
    issued: zoom.grants.issued,
    get refreshes() {
      return zoom.grants.refreshCount()
    },
    authorize: ({ user, ...request }) => asControlError(() => zoom.authorize.consent(request, knownUser(user))),
    expireAccessTokens: (user) => zoom.grants.expireAccessTokens(user === undefined ? undefined : userIdOf(user)),
    revokeGrant: (user, clientId) => zoom.grants.revoke(userIdOf(user), clientId),
    liveRefreshToken(user, clientId) {
      const fits = (grant: { userId: string; clientId: string }) =>
        grant.userId === userIdOf(user) && grant.clientId === clientId
      return zoom.grants.liveGrants().find(fits)?.refreshToken ?? null
    },
    join: zoom.mints.join,
    recallCall: recall.call,
    deliverEvent(input) {
      happenAtZoom(input, state, zoom.grants.revoke)
      return deliverEvent(input)
    },
    advanceClock: state.advanceClock,
  }

  function knownUser(key: string): User {
    const user = state.findUser(key)
    if (!user) throw new ControlError('user: expected the id or e-mail of a known user')
    return user
  }

  controls.reset()
  return controls
}

/** Leaves out what was not given, so that it keeps its value. */
function given<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>
}

/** A refusal page is no use to a caller in code: it gets the reason as an error. */
function asControlError<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const page = String(error.reply.body)
    throw new ControlError(/<h1>.*<\/h1><p>(.*)<\/p>/.exec(page)?.[1] ?? 'The authorize request was refused')
  }
}
