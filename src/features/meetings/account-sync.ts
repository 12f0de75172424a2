import { AppError } from '../../errors.ts'
import type { ListedUser, ZoomAccountUsers } from '../../zoom/account-users.ts'
import type { ListedMeeting, MeetingListType, ZoomMeetings } from '../../zoom/meetings.ts'
import type { AccountStore } from './account-store.ts'
import { freshNumbersOf, type ReadAll } from './list-reader.ts'
import type { BegunSync, SyncStore } from './sync-store.ts'

export interface AccountSyncDeps {
  accounts: AccountStore
  store: Pick<SyncStore, 'progress'>
  readAll: ReadAll
  zoomMeetings: ZoomMeetings
  accountUsers: ZoomAccountUsers
  log: { warn: (fields: object, message: string) => void }
  monotonicNow: () => number
  /** How long one part may take. */
  partMs: number
}

/** A sync under way of the account that a grant is for. */
export interface AccountFlight {
  grantId: string
  begun: BegunSync
  signal: AbortSignal
  /** Numbers known so far. */
  meetings: number
}

// 15,000 meetings and 150,000 users; a list that never ends is Zoom's fault, and ours to bear
export const MEETING_PAGES = 50
const USER_PAGES = 500
const USERS_AT_ONCE = 20
/** After so many users one after the other it is not the users. */
const FAILURES_IN_A_ROW = 3
const ABOUT_ONE_USER: readonly string[] = ['zoom_unavailable', 'zoom_timeout']
const notAllRead = () => new AppError('zoom_unavailable', 'Zoom gave no usable list for some users; try again.')
const TYPES: readonly MeetingListType[] = ['scheduled', 'live']

/**
 * Reads an account's users, and the meetings of each: a part at a time, so that an account of any size gives way to whoever else of it
 * is to be read, and what is done is done whatever becomes of the process.
 */
export function createAccountSync(deps: AccountSyncDeps) {
  const { accounts, store, readAll, zoomMeetings, accountUsers, log, monotonicNow, partMs } = deps

  async function listUsers(flight: AccountFlight): Promise<void> {
    const { grantId, begun, signal } = flight
    const { at, since } = begun
    await readAll<ListedUser>({
      grantId,
      name: 'users',
      maxPages: USER_PAGES,
      signal,
      ask: (accessToken, pageToken) => accountUsers.list({ accessToken, pageToken }),
      async keep(listed, askedAt) {
        const users = [...new Map(listed.map((user) => [user.zoomUserId, user])).values()]
        await accounts.listed(grantId, { users, at, since })
        // personal rooms are in no list of meetings
        const rooms = users.flatMap(({ zoomUserId, pmi }) => (pmi === null ? [] : [{ meetingId: pmi, zoomUserId }]))
        await accounts.mapListed(grantId, [...new Map(rooms.map((room) => [room.meetingId, room])).values()], askedAt)
        flight.meetings = await accounts.totals(grantId)
        await store.progress(grantId, begun, flight.meetings)
      },
    })
    await accounts.listingEnded(grantId, at)
  }

  async function readUser({ grantId, begun, signal, meetings }: AccountFlight, zoomUserId: string): Promise<number> {
    const found = new Set<string>()
    const keep = async (listed: ListedMeeting[], askedAt: Date) => {
      const fresh = freshNumbersOf(listed, zoomUserId, found)
      const words = fresh.map((meetingId) => ({ meetingId, zoomUserId }))
      await accounts.mapListed(grantId, words, askedAt)
      for (const meetingId of fresh) found.add(meetingId)
      await store.progress(grantId, begun, meetings)
    }
    for (const type of TYPES)
      await readAll<ListedMeeting>({
        grantId,
        name: `${type} meetings of a user`,
        maxPages: MEETING_PAGES,
        signal,
        ask: (accessToken, pageToken) => zoomMeetings.list({ accessToken, zoomUserId, type, pageToken }),
        keep,
      })
    return found.size
  }

  /** Null where nothing could be learnt of this user now, which says nothing of the others. */
  async function readUserOrNot(flight: AccountFlight, zoomUserId: string): Promise<number | null> {
    try {
      return await readUser(flight, zoomUserId)
    } catch (error) {
      if (!(error instanceof AppError) || !ABOUT_ONE_USER.includes(error.code)) throw error
      log.warn({ grant_id: flight.grantId, code: error.code }, 'the meetings of one user of an account were not read')
      return null
    }
  }

  /** Gives whether everybody was tried. @throws zoom_unavailable where somebody could not be read: they wait */
  async function readUsers(flight: AccountFlight, endMs: number): Promise<boolean> {
    const { grantId, begun, signal } = flight
    let failures = 0
    let inARow = 0
    for (;;) {
      const users = await accounts.waiting(grantId, USERS_AT_ONCE, begun.at)
      if (users.length === 0 && failures > 0) throw notAllRead()
      if (users.length === 0) return true
      for (const zoomUserId of users) {
        signal.throwIfAborted()
        if (monotonicNow() >= endMs) return false
        const meetings = await readUserOrNot(flight, zoomUserId)
        await accounts.read(grantId, zoomUserId, meetings)
        if (meetings === null) failures += 1
        inARow = meetings === null ? inARow + 1 : 0
        if (inARow === FAILURES_IN_A_ROW) throw notAllRead()
      }
      flight.meetings = await accounts.totals(grantId)
    }
  }

  /**
   * Reads a part of the account, its list of users first where that is due; `flight.meetings` follows. Gives whether it was the last part.
   * @throws what `readAll` throws, store_unavailable
   */
  return async function readPart(flight: AccountFlight): Promise<boolean> {
    try {
      flight.meetings = await accounts.totals(flight.grantId)
      if (flight.begun.isListingDue) await listUsers(flight)
      return await readUsers(flight, monotonicNow() + partMs)
    } finally {
      flight.meetings = await accounts.totals(flight.grantId).catch(() => flight.meetings)
    }
  }
}
