import type { Config } from '../config.ts'
import type { Services } from '../services.ts'
import { jobQueues } from './queues.ts'
import type { Round } from './rounds.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS

/** What every replica does by the clock, and how often. */
export function jobRounds(services: Services, config: Config): Round[] {
  const { passes, ledger, connectSessions, idempotencyKeys, grantUpkeep, keepAlive, jobQueue, dispatch, zoomEvents } =
    services
  // twice the tolerance and a minute: a signature can be valid that long, early and late
  const seenSeconds = 2 * config.SIGNATURE_TOLERANCE_SECONDS + 60
  const queues = jobQueues(services)
  return [
    {
      // whoever is to be told is told within seconds
      everyMs: [SECOND_MS, 2 * SECOND_MS],
      tasks: [
        // started here and not with the process: what waits for the database, or for its adoption, is tried again
        { name: 'job_queue', run: () => jobQueue.ensureStarted(queues) },
        { name: 'zoom_events', run: () => zoomEvents.processAcrossTenants() },
        { name: 'deliveries', run: (signal) => dispatch.enqueueAcrossTenants(signal) },
        { name: 'meeting_syncs', run: () => services.meetingSync.enqueueAcrossTenants() },
      ],
    },
    {
      // on its own clock: where ten thousand hosts change at once, what is dispatched already is delivered meanwhile
      everyMs: [SECOND_MS, 2 * SECOND_MS],
      tasks: [{ name: 'outbox', run: (signal) => dispatch.dispatchAcrossTenants(signal) }],
    },
    {
      // on its own clock, which no clean-up holds up: bots come at the full hour whatever else is due
      everyMs: [30 * SECOND_MS, 60 * SECOND_MS],
      tasks: [{ name: 'warm_passes', run: (signal) => passes.warmApproachingAcrossTenants(signal) }],
    },
    {
      everyMs: [30 * SECOND_MS, 90 * SECOND_MS],
      tasks: [
        { name: 'encryption_keys', run: () => services.keyWatch.look() },
        { name: 'lost_rotations', run: () => grantUpkeep.sweepAcrossTenants() },
        { name: 'grant_counts', run: () => grantUpkeep.countAcrossTenants() },
        { name: 'early_deaths', run: () => keepAlive.findEarlyDeathsAcrossTenants() },
        { name: 'seen_webhook_ids', run: () => ledger.purgeSeenAcrossTenants(seenSeconds) },
        { name: 'api_key_uses', run: () => services.apiKeys.noteUsesAcrossTenants() },
        { name: 'connect_sessions', run: () => connectSessions.purgeExpiredAcrossTenants() },
        { name: 'idempotency_keys', run: () => idempotencyKeys.purgeExpiredAcrossTenants() },
      ],
    },
    {
      // seldom: each reads through all grants, or through a month of history
      everyMs: [5 * MINUTE_MS, 15 * MINUTE_MS],
      tasks: [
        { name: 'unlinked_grants', run: (signal) => grantUpkeep.releaseUnlinkedAcrossTenants(signal) },
        { name: 'zoom_webhook_silence', run: () => zoomEvents.findSilenceAcrossTenants() },
        { name: 'old_mints', run: (signal) => ledger.purgeAcrossTenants(signal) },
        { name: 'old_passes', run: (signal) => passes.purgeAcrossTenants(signal) },
        { name: 'zoom_event_gaps', run: () => services.eventGaps.reportAcrossTenants() },
        { name: 'zoom_events_purge', run: () => zoomEvents.purgeAcrossTenants() },
        { name: 'meeting_event_marks', run: () => services.meetings.purgeAcrossTenants() },
        { name: 'silent_meetings', run: () => services.meetingSync.purgeAcrossTenants() },
        { name: 'imported_tokens', run: () => services.imports.purgeAcrossTenants() },
        { name: 'untold_hosts', run: () => dispatch.tellMissedAcrossTenants() },
        { name: 'webhook_events', run: (signal) => dispatch.purgeAcrossTenants(signal) },
        { name: 'audit_trail', run: (signal) => services.audit.purgeAcrossTenants(signal) },
        { name: 'erasure', run: (signal) => services.erasure.sweepAcrossTenants(signal) },
        { name: 'refresh_attempts', run: (signal) => grantUpkeep.purgeAttemptsAcrossTenants(signal) },
      ],
    },
  ]
}
