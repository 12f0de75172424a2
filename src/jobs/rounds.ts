import type { FastifyBaseLogger } from 'fastify'
import { jitter, sleep } from '../lib/deadline.ts'

export interface Task {
  name: string
  /** `signal`: the process stops, nothing new is begun. */
  run: (signal: AbortSignal) => Promise<unknown>
}

/** Tasks that are done one after the other, again and again. */
export interface Round {
  tasks: Task[]
  /** Between two rounds: at least and at most. Any number of replicas do the same, the jitter spreads them. */
  everyMs: [number, number]
}

// soon after the start, yet not while a deployment starts all its replicas
const FIRST_MS = [1000, 5000] as const
/**
 * Where the database is slow, rounds would hold connections all the time that requests need. So a round rests many times as long
 * as its first look took: at 5 ms that is nothing, at 2 s the most there is.
 */
const REST_FACTOR = 20
const LONGEST_REST_MS = 30_000

/**
 * Starts every round on its own clock. Each first looks which database this is and whose, so that a running replica learns
 * of a restore and of `latchkey grants adopt`; in another installation's nothing is done. Gives the function that stops them: it settles once
 * what was under way has ended.
 */
export function startRounds({
  rounds,
  lookAtDatabase,
  isForeign,
  log,
  random,
  monotonicNow = () => performance.now(),
}: {
  rounds: Round[]
  lookAtDatabase: () => Promise<void>
  isForeign: () => boolean
  log: Pick<FastifyBaseLogger, 'warn'>
  random: () => number
  monotonicNow?: () => number
}): () => Promise<void> {
  const stopping = new AbortController()
  const { signal } = stopping

  async function succeeds({ name, run }: Task): Promise<boolean> {
    try {
      await run(signal)
      return true
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error, task: name }, 'a job did not run; later again')
      return false
    }
  }
  /** Gives how long the look at the database took, in milliseconds. */
  async function once(tasks: Task[]): Promise<number> {
    const startMs = monotonicNow()
    const isKnown = await succeeds({ name: 'look_at_database', run: lookAtDatabase })
    const lookMs = monotonicNow() - startMs
    if (!isKnown || isForeign()) return lookMs
    for (const task of tasks) if (!signal.aborted) await succeeds(task)
    return lookMs
  }
  async function repeat({ tasks, everyMs: [leastMs, mostMs] }: Round): Promise<void> {
    let pauseMs = jitter(...FIRST_MS, random)
    for (;;) {
      await sleep(pauseMs, signal).catch(() => {}) // ends early where the process stops
      if (signal.aborted) return
      const restMs = Math.min(REST_FACTOR * (await once(tasks)), LONGEST_REST_MS)
      pauseMs = Math.max(jitter(leastMs, mostMs, random), restMs)
    }
  }
  const running = rounds.map(repeat)
  return async () => {
    stopping.abort()
    await Promise.all(running)
  }
}
