import type { PrismaClient } from '../../generated/prisma/client.ts'
import type { Sql } from '../../lib/sql.ts'
import { createAccountStore } from './account-store.ts'
import { createMeetingEventStore } from './event-store.ts'
import { createMeetingService, type MeetingDeps } from './service.ts'
import { createMeetingStore } from './store.ts'
import { createMeetingSync, type SyncDeps } from './sync-service.ts'
import { createSyncStore } from './sync-store.ts'
import { createGapReport, type GapDeps } from './unannounced.ts'

type MeetingsOptions = Pick<MeetingDeps, 'cursors'> &
  Omit<SyncDeps, 'store' | 'accounts' | 'queue' | 'log'> &
  Omit<GapDeps, 'sql'> &
  Pick<SyncDeps, 'log'> & { prisma: PrismaClient; sql: Sql; jobQueue: SyncDeps['queue'] }

/** The map of meetings, and what reads it from Zoom. */
export function createMeetings({ prisma, sql, cursors, jobQueue, count, ...deps }: MeetingsOptions) {
  return {
    meetings: createMeetingService({
      store: createMeetingStore(prisma, sql),
      eventStore: createMeetingEventStore(sql),
      cursors,
    }),
    meetingSync: createMeetingSync({
      ...deps,
      store: createSyncStore(sql),
      accounts: createAccountStore(sql),
      queue: jobQueue,
    }),
    eventGaps: createGapReport({ sql, log: deps.log, count }),
  }
}
