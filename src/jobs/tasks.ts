import type { Config } from '../config.ts'
import type { Services } from '../services.ts'
import type { CleanupTask } from './cleanup.ts'

/** What has had its time, and for how long it was kept. */
export function cleanupTasks(services: Services, config: Config): CleanupTask[] {
  // twice the tolerance and a minute: a signature can be valid that long, early and late
  const seenSeconds = 2 * config.SIGNATURE_TOLERANCE_SECONDS + 60
  return [
    { name: 'seen_webhook_ids', run: () => services.ledger.purgeSeenAcrossTenants(seenSeconds) },
    { name: 'connect_sessions', run: () => services.connectSessions.purgeExpiredAcrossTenants() },
    { name: 'idempotency_keys', run: () => services.idempotencyKeys.purgeExpiredAcrossTenants() },
  ]
}
