import { AppError } from '../../errors.ts'
import type { GrantVault } from '../../grants/vault.ts'
import { jitter, sleep } from '../../lib/deadline.ts'
import type { MeetingListType, MeetingPage, ZoomMeetings } from '../../zoom/meetings.ts'
import type { ZoomUsers } from '../../zoom/users.ts'
import type { BegunSync, SyncResult, SyncStore } from './sync-store.ts'

export interface SyncDeps {
  store: SyncStore
  vault: Pick<GrantVault, 'withAccessToken' | 'noteProfile'>
  zoomMeetings: ZoomMeetings
  users: ZoomUsers
  queue: {
    isStarted: () => boolean
    insert: (name: string, jobs: { singletonKey: string; data: { grantId: string } }[]) => Promise<void>
    wake: (name: string) => void
  }
  log: Record<'info' | 'warn', (fields: object, message: string) => void>
  now: () => number
  random: () => number
}

/** The queue of syncs; its jobs carry the id of a grant. */
export const SYNC_QUEUE = 'meeting-sync'

const JOBS_AT_ONCE = 20
// 15,000 meetings; a list that never ends is Zoom's fault, and ours to bear
const MAX_PAGES = 50
/** Longer than this nobody sleeps: the sync ends and comes again. */
const LONGEST_PAUSE_MS = 5000
const MAX_WAITS = 5
const KEPT_DAYS = 30
const HOUR_SECONDS = 3600
/** What waits for a person, and not for Zoom. */
const LASTING: readonly string[] = ['reconnect_required', 'host_blocked', 'host_not_connected']

interface Flight {
  grantId: string
  begun: BegunSync
  found: Set<string>
  signal: AbortSignal
}

const limited = (pauseMs: number) =>
  new AppError('zoom_rate_limited', 'What Zoom allows this account is nearly used up.', {
    retryAfterSeconds: Math.ceil(pauseMs / 1000),
  })

/** Reads the meetings of connected users from Zoom: as they connect, every six hours, and when asked to. */
export function createMeetingSync({ store, vault, zoomMeetings, users, queue, log, now, random }: SyncDeps) {
  async function listPage({ grantId, signal }: Flight, type: MeetingListType, pageToken: string) {
    for (let waits = 0; ; waits++) {
      try {
        return await vault.withAccessToken(grantId, (accessToken) =>
          zoomMeetings.list({ accessToken, type, pageToken }),
        )
      } catch (error) {
        const waitMs = error instanceof AppError && error.code === 'zoom_rate_limited' ? waitOf(error) : null
        if (waitMs === null || waitMs > LONGEST_PAUSE_MS || waits === MAX_WAITS) throw error
        await sleep(waitMs + jitter(0, 500, random), signal)
      }
    }
  }

  async function keep({ grantId, begun, found }: Flight, { meetings }: MeetingPage, askedAt: Date): Promise<void> {
    const own = meetings.filter(({ hostId }) => hostId === null || hostId === begun.zoomUserId)
    const fresh = [...new Set(own.map(({ meetingId }) => meetingId))].filter((meetingId) => !found.has(meetingId))
    await store.map(grantId, fresh, askedAt)
    for (const meetingId of fresh) found.add(meetingId)
    await store.progress(grantId, begun, found.size)
  }

  async function readList(flight: Flight, type: MeetingListType): Promise<void> {
    let pageToken = ''
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const askedAt = new Date(now())
      const page = await listPage(flight, type, pageToken)
      await keep(flight, page, askedAt)
      if (page.pauseMs > LONGEST_PAUSE_MS) throw limited(page.pauseMs)
      if (page.pauseMs > 0) await sleep(page.pauseMs, flight.signal)
      pageToken = page.nextPageToken
      if (pageToken === '') return
    }
    log.warn({ grant_id: flight.grantId, type }, 'a list of meetings did not end; the rest of it was left')
  }

  /** The personal room is in no list. Without the scope for it a sync is none the worse. */
  async function readPerson({ grantId, begun, found }: Flight): Promise<void> {
    const askedAt = new Date(now())
    const profile = await vault.withAccessToken(grantId, (accessToken) => users.me(accessToken))
    if (profile.outcome === 'unavailable') throw new AppError('zoom_unavailable', 'Zoom did not answer; try again.')
    if (profile.outcome !== 'known' || profile.id !== begun.zoomUserId) return
    await vault.noteProfile(grantId, profile)
    if (profile.pmi === null) return
    await store.map(grantId, [profile.pmi], askedAt)
    found.add(profile.pmi)
  }

  async function read(flight: Flight): Promise<SyncResult> {
    let code: string | null = null
    try {
      await readList(flight, 'scheduled')
      await readList(flight, 'live')
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'missing_scope')) throw error
      code = error.code // the host's `degraded` names it; what else can be known is still asked for
    }
    await readPerson(flight)
    const nextSeconds = jitter(4.8 * HOUR_SECONDS, 7.2 * HOUR_SECONDS, random)
    return { status: 'done', meetings: flight.found.size, code, nextSeconds, restSeconds: 0 }
  }

  function resultOf(error: unknown, { grantId, found, signal }: Flight): SyncResult {
    const meetings = found.size
    if (signal.aborted) return { status: 'queued', meetings, code: null, nextSeconds: 60, restSeconds: 0 }
    const code = error instanceof AppError ? error.code : 'internal_error'
    if (!(error instanceof AppError)) log.warn({ err: error, grant_id: grantId }, 'a sync of meetings failed')
    const restSeconds = code === 'zoom_rate_limited' ? waitOf(error as AppError) / 1000 : 0
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
      const flight: Flight = { grantId, begun, found: new Set(), signal }
      const result = await read(flight).catch((error: unknown) => resultOf(error, flight))
      await store.finish(grantId, begun, result)
      const { status, meetings, code } = result
      log.info({ grant_id: grantId, status, meetings, code }, 'the meetings of a grant were read')
      await enqueueAcrossTenants() // the next of the same account need not wait for the clock
    },
    /** Has a host's meetings read soon, at most once a minute. @throws not_found, store_unavailable */
    async request(tenantId: string, hostId: string) {
      const state = await store.request(tenantId, hostId)
      if (!state) throw new AppError('not_found', 'No such host.')
      return state
    },
    /** Forgets what was found and has given no sign of life for 30 days. @throws store_unavailable */
    purgeAcrossTenants: (): Promise<void> => store.purge(KEPT_DAYS),
  }
}

export type MeetingSync = ReturnType<typeof createMeetingSync>

const waitOf = ({ retryAfterSeconds = 1 }: AppError) => retryAfterSeconds * 1000
