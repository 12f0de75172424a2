import { AppError, type ErrorCode } from '../../errors.ts'
import { type CursorCodec, toPage } from '../../lib/cursor.ts'
import { uuidv7 } from '../../lib/ids.ts'
import type { Effect, MeetingEventStore, Told } from './event-store.ts'
import type { Mapping, MappingSource, MappingTarget, MeetingStore } from './store.ts'

export interface MeetingDeps {
  store: MeetingStore
  eventStore: MeetingEventStore
  cursors: CursorCodec
}

export interface BatchRow {
  meetingId: string
  /** Null where the row names none, or its number is none. */
  target: MappingTarget | null
}

export interface BatchOutcome {
  meetingId: string
  status: 'stored' | 'refused'
  code?: ErrorCode
}

export type MeetingService = ReturnType<typeof createMeetingService>

const unknownMeeting = () => new AppError('not_found', 'No such meeting.')

/** Which host or organization opens the door of a meeting. */
export function createMeetingService({ store, eventStore, cursors }: MeetingDeps) {
  return {
    /** Null where the tenant has no mapping of the number. */
    find: (tenantId: string, meetingId: string): Promise<Mapping | null> => store.get(tenantId, meetingId),
    /** @throws not_found */
    async get(tenantId: string, meetingId: string): Promise<Mapping> {
      const mapping = await store.get(tenantId, meetingId)
      if (!mapping) throw unknownMeeting()
      return mapping
    },
    /** @throws invalid_request for a cursor of another list */
    async list(
      tenantId: string,
      filter: { hostId?: string | undefined; source?: MappingSource | undefined },
      limit: number,
      cursor: string | undefined,
    ) {
      const scope = { tenantId, list: 'meetings', filter: { ...filter } }
      const rows = await store.list(tenantId, filter, limit + 1, cursors.decode(scope, cursor))
      return toPage(rows, limit, (position) => cursors.encode(scope, position))
    },
    /** @throws not_found where the tenant has no such host or organization */
    async put(tenantId: string, meetingId: string, target: MappingTarget): Promise<Mapping> {
      const stored = await store.put(tenantId, [{ id: uuidv7(), meetingId, target }])
      if (stored.size === 0) throw new AppError('not_found', 'No such host or organization.')
      return await this.get(tenantId, meetingId)
    },
    /** Stores what can be stored and names the rest, row by row; of rows with one number the last counts. */
    async putMany(tenantId: string, rows: BatchRow[]): Promise<BatchOutcome[]> {
      const last = new Map(rows.map((row) => [row.meetingId, row.target]))
      const usable = [...last].flatMap(([meetingId, target]) => (target ? [{ id: uuidv7(), meetingId, target }] : []))
      const stored = usable.length > 0 ? await store.put(tenantId, usable) : new Set<string>()
      return rows.map(({ meetingId }) => {
        if (stored.has(meetingId)) return { meetingId, status: 'stored' }
        return { meetingId, status: 'refused', code: last.get(meetingId) ? 'not_found' : 'invalid_request' }
      })
    },
    /**
     * Keeps whose meeting it is, where the conflict rule lets it; a host need not be connected yet. `observedAt`: when it was so, for
     * something that was asked of Zoom the time before the question.
     */
    async map(
      tenantId: string,
      meetingId: string,
      target: { externalUserId: string } | { organizationId: string },
      source: MappingSource,
      observedAt: Date | null = null,
    ): Promise<void> {
      await store.map(tenantId, { id: uuidv7(), meetingId, source, observedAt, ...target })
    },
    /** What an event of Zoom's told of meetings, for every tenant that links their host. @throws store_unavailable */
    applyEventAcrossTenants: (told: Told): Promise<Effect> => eventStore.apply(told),
    /** Forgets what only kept old events from counting. @throws store_unavailable */
    purgeAcrossTenants: (): Promise<void> => eventStore.purge(),
    /** @throws not_found */
    async remove(tenantId: string, meetingId: string): Promise<void> {
      if (!(await store.remove(tenantId, meetingId, uuidv7()))) throw unknownMeeting()
    },
  }
}
