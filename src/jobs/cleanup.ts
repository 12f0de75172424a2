import type { FastifyBaseLogger } from 'fastify'
import { jitter } from '../lib/deadline.ts'

export type CleanupTask = { name: string; run: () => Promise<unknown> }

const EVERY_MS = 60_000

/**
 * Deletes what has had its time, about once a minute. Every task is a plain DELETE, so any number of replicas may do it
 * at once; the jitter only spreads them. Gives the function that stops it.
 */
export function startCleanup({
  tasks,
  log,
  random,
}: {
  tasks: CleanupTask[]
  log: FastifyBaseLogger
  random: () => number
}): () => void {
  let timer: NodeJS.Timeout
  let isStopped = false
  async function runAll(): Promise<void> {
    for (const { name, run } of tasks)
      await run().catch((error: unknown) => log.warn({ err: error, task: name }, 'a clean-up did not run; later again'))
    if (!isStopped) schedule()
  }
  function schedule(): void {
    timer = setTimeout(runAll, jitter(EVERY_MS / 2, EVERY_MS * 1.5, random))
    timer.unref()
  }
  schedule()
  return () => {
    isStopped = true
    clearTimeout(timer)
  }
}
