import { SYNC_QUEUE } from '../features/meetings/sync-service.ts'
import { DELIVERY_QUEUE } from '../features/notifications/dispatch.ts'
import type { Services } from '../services.ts'
import type { QueueDefinition } from './queue.ts'

const HOUR_SECONDS = 3600
// a refresh has 8 s, and the flight it is part of 20 s
const REFRESH_LIMIT_SECONDS = 120
// the longest lists, an account that allows two calls a second, and a refresh
const SYNC_LIMIT_SECONDS = 600

/** Every kind of job that the queue knows, and the service call each one is. */
export function jobQueues({ keepAlive, deliveries, meetingSync, jobQueue }: Services): QueueDefinition[] {
  const keepGrantAlive: QueueDefinition<{ grantId: string }> = {
    name: 'grant-keep-alive',
    policy: 'exclusive', // one job per grant, whoever finds it due
    // not repeated by the queue: the next look finds it due again
    options: { retryLimit: 0, expireInSeconds: REFRESH_LIMIT_SECONDS, deleteAfterSeconds: HOUR_SECONDS },
    workers: 4,
    work: { pollingIntervalSeconds: 5 },
    run: ({ grantId }) => keepAlive.keepAlive(grantId),
  }
  const findIdleGrants: QueueDefinition = {
    name: 'grant-keep-alive-scan',
    policy: 'exclusive',
    options: { retryLimit: 0, expireInSeconds: REFRESH_LIMIT_SECONDS, deleteAfterSeconds: HOUR_SECONDS },
    workers: 1,
    work: { pollingIntervalSeconds: 10 },
    cron: '* * * * *',
    async run() {
      const due = await keepAlive.dueAcrossTenants()
      const jobs = due.map((grantId) => ({ singletonKey: grantId, data: { grantId } }))
      if (jobs.length === 0) return
      await jobQueue.insert(keepGrantAlive.name, jobs)
      jobQueue.wake(keepGrantAlive.name)
    },
  }
  const deliver: QueueDefinition<{ deliveryId: string }> = {
    name: DELIVERY_QUEUE,
    policy: 'short', // one job per delivery waits; a second one for an attempt under way finds it begun
    // of a process that died in the middle; a receiver's failures have times of their own (RETRY_SECONDS)
    options: { retryLimit: 5, retryDelay: 35, expireInSeconds: 60, deleteAfterSeconds: HOUR_SECONDS },
    workers: 16,
    work: { pollingIntervalSeconds: 5, localGroupConcurrency: 1 }, // a slow receiver holds one worker, never all
    run: ({ deliveryId }) => deliveries.attempt(deliveryId),
  }
  const syncMeetings: QueueDefinition<{ grantId: string }> = {
    name: SYNC_QUEUE,
    policy: 'exclusive', // one job per grant, whoever finds it due
    // not repeated by the queue: the next look finds it due again
    options: { retryLimit: 0, expireInSeconds: SYNC_LIMIT_SECONDS, deleteAfterSeconds: HOUR_SECONDS },
    workers: 4, // few, so that a day on which all are due leaves the machine to the bots
    work: { pollingIntervalSeconds: 5 },
    run: ({ grantId }, signal) => meetingSync.run(grantId, signal),
  }
  return [keepGrantAlive, findIdleGrants, deliver, syncMeetings] as QueueDefinition[]
}
