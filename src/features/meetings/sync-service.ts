import { AppError } from '../../errors.ts'
import type { GrantVault } from '../../grants/vault.ts'
import { jitter } from '../../lib/deadline.ts'
import type { ZoomAccountUsers } from '../../zoom/account-users.ts'
import type { ListedMeeting, MeetingListType, ZoomMeetings } from '../../zoom/meetings.ts'
import type { ZoomUsers } from '../../zoom/users.ts'
import type { AccountStore } from './account-store.ts'
import { type AccountFlight, createAccountSync, MEETING_PAGES } from './account-sync.ts'
import { createListReader, freshNumbersOf, waitMsOf } from './list-reader.ts'
import type { SyncResult, SyncStore } from './sync-store.ts'

export interface SyncDeps {
  store: SyncStore
  accounts: AccountStore
  vault: Pick<GrantVault, 'withAccessToken' | 'noteProfile'>
  zoomMeetings: ZoomMeetings
  accountUsers: ZoomAccountUsers
  users: ZoomUsers
  queue: {
    isStarted: () => boolean
    insert: (name: string, jobs: { singletonKey: string; data: { grantId: string } }[]) => Promise<void>
    wake: (name: string) => void
  }
  log: Record<'info' | 'warn', (fields: object, message: string) => void>
  now: () => number
  random: () => number
  /** How long a part of an account is read at once; 20 s by default. */
  partMs?: number
}

/** The queue of syncs; its jobs carry the id of a grant. */
export const SYNC_QUEUE = 'meeting-sync'

const JOBS_AT_ONCE = 20
const PART_MS = 20_000
const HOUR_SECONDS = 3600
/** What waits for a person, and not for Zoom. */
const LASTING: readonly string[] = ['reconnect_required', 'host_blocked', 'host_not_connected']

interface Flight extends AccountFlight {
  found: Set<string>
}

/**
 * Reads the meetings of connected users from Zoom, and of all users of connected accounts: as they connect, every six hours, and when
 * asked to.
 */
export function createMeetingSync(deps: SyncDeps) {
  const { store, accounts, vault, zoomMeetings, accountUsers, users, queue, log, now, random, partMs = PART_MS } = deps
  const readAll = createListReader({ vault, log, now, random })
  const monotonicNow = () => performance.now()
  const readPart = createAccountSync({
    accounts,
    store,
    readAll,
    zoomMeetings,
    accountUsers,
    log,
    monotonicNow,
    partMs,
  })

  async function keep(flight: Flight, meetings: ListedMeeting[], askedAt: Date): Promise<void> {
    const { grantId, begun, found } = flight
    const fresh = freshNumbersOf(meetings, begun.zoomUserId, found)
    await store.map(grantId, fresh, askedAt)
    for (const meetingId of fresh) found.add(meetingId)
    flight.meetings = found.size
    await store.progress(grantId, begun, found.size)
  }

  const readList = (flight: Flight, type: MeetingListType): Promise<void> =>
    readAll<ListedMeeting>({
      grantId: flight.grantId,
      name: `${type} meetings`,
      maxPages: MEETING_PAGES,
      signal: flight.signal,
      ask: (accessToken, pageToken) => zoomMeetings.list({ accessToken, zoomUserId: null, type, pageToken }),
      keep: (meetings, askedAt) => keep(flight, meetings, askedAt),
    })

  /** The personal room is in no list. Without the scope for it a sync is none the worse. */
  async function readPerson(flight: Flight): Promise<void> {
    const { grantId, begun } = flight
    const askedAt = new Date(now())
    const profile = await vault.withAccessToken(grantId, (accessToken) => users.me(accessToken))
    if (profile.outcome === 'unavailable') throw new AppError('zoom_unavailable', 'Zoom did not answer; try again.')
    if (profile.outcome !== 'known' || profile.id !== begun.zoomUserId) return
    await vault.noteProfile(grantId, profile)
    if (profile.pmi !== null) await keep(flight, [{ meetingId: profile.pmi, hostId: null }], askedAt)
  }

  /** The code of what was done without: the `degraded` of host or organization names it, and what else can be known is still read. */
  async function readAsAllowed(reading: () => Promise<void>): Promise<string | null> {
    try {
      await reading()
      return null
    } catch (error) {
      if (error instanceof AppError && error.code === 'missing_scope') return error.code
      throw error
    }
  }

  async function read(flight: Flight): Promise<SyncResult> {
    let isLastPart = true
    const code = await readAsAllowed(async () => {
      if (flight.begun.isAccount) {
        isLastPart = await readPart(flight)
        return
      }
      await store.adopt(flight.grantId)
      await readList(flight, 'scheduled')
      await readList(flight, 'live')
    })
    if (!isLastPart) return { status: 'queued', meetings: flight.meetings, code, nextSeconds: 1, restSeconds: 0 }
    if (!flight.begun.isAccount) await readPerson(flight)
    const nextSeconds = jitter(4.8 * HOUR_SECONDS, 7.2 * HOUR_SECONDS, random)
    return { status: 'done', meetings: flight.meetings, code, nextSeconds, restSeconds: 0 }
  }

  function resultOf(error: unknown, { grantId, meetings, signal }: Flight): SyncResult {
    if (signal.aborted) return { status: 'queued', meetings, code: null, nextSeconds: 60, restSeconds: 0 }
    const code = error instanceof AppError ? error.code : 'internal_error'
    if (!(error instanceof AppError)) log.warn({ err: error, grant_id: grantId }, 'a sync of meetings failed')
    const restSeconds = code === 'zoom_rate_limited' ? waitMsOf(error as AppError) / 1000 : 0
    const pauseSeconds = LASTING.includes(code) ? 6 * HOUR_SECONDS : jitter(600, 1200, random)
    const nextSeconds = Math.ceil(Math.max(restSeconds, pauseSeconds))
    return { status: 'failed', meetings, code, nextSeconds, restSeconds: Math.ceil(restSeconds) }
  }

  const enqueueAcrossTenants = async (): Promise<void> => {
    if (!queue.isStarted()) return
    const due = await store.claim(JOBS_AT_ONCE)
    if (due.length === 0) return
    await queue.insert(
      SYNC_QUEUE,
      due.map((grantId) => ({ singletonKey: grantId, data: { grantId } })),
    )
    queue.wake(SYNC_QUEUE)
  }

  return {
    /** Files the jobs of the grants whose time has come, one of each customer account. @throws store_unavailable */
    enqueueAcrossTenants,
    /** Reads one grant's meetings, unless its customer account is being read already. @throws store_unavailable */
    async run(grantId: string, signal: AbortSignal): Promise<void> {
      const begun = await store.begin(grantId)
      if (!begun) return
      const flight: Flight = { grantId, begun, found: new Set(), signal, meetings: 0 }
      const result = await read(flight).catch((error: unknown) => resultOf(error, flight))
      await store.finish(grantId, begun, result)
      const { status, meetings, code } = result
      log.info({ grant_id: grantId, status, meetings, code }, 'the meetings of a grant were read')
      await enqueueAcrossTenants() // the next of the same account need not wait for the clock
    },
    /** Has a host's meetings read soon, at most once a minute. @throws not_found, store_unavailable */
    async requestOfHost(tenantId: string, hostId: string) {
      const state = await store.request(tenantId, 'hosts', hostId)
      if (!state) throw new AppError('not_found', 'No such host.')
      return state.sync
    },
    /** The same of an organization's users and their meetings. @throws not_found, store_unavailable */
    async requestOfOrganization(tenantId: string, organizationId: string) {
      const state = await store.request(tenantId, 'organizations', organizationId)
      if (!state) throw new AppError('not_found', 'No such organization.')
      return state.sync
    },
    /** An event told of a new user of an account: whether anybody links the account. @throws store_unavailable */
    usersWantedAcrossTenants: (zoomAppId: string, zoomAccountId: string | null): Promise<boolean> =>
      zoomAccountId === null ? Promise.resolve(false) : accounts.usersWanted(zoomAppId, zoomAccountId),
    /** An event told that a user has left an account: whether anything was known of them. @throws store_unavailable */
    forgetUserAcrossTenants: accounts.forgetUser,
    /** Forgets what was found and has given no sign of life for 30 days. @throws store_unavailable */
    purgeAcrossTenants: (): Promise<void> => store.purge(),
  }
}

export type MeetingSync = ReturnType<typeof createMeetingSync>
