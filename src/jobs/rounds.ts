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
}: {
  rounds: Round[]
  lookAtDatabase: () => Promise<void>
  isForeign: () => boolean
  log: Pick<FastifyBaseLogger, 'warn'>
  random: () => number
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
  async function once(tasks: Task[]): Promise<void> {
    const isKnown = await succeeds({ name: 'look_at_database', run: lookAtDatabase })
    if (!isKnown || isForeign()) return
    for (const task of tasks) if (!signal.aborted) await succeeds(task)
  }
  async function repeat({ tasks, everyMs: [leastMs, mostMs] }: Round): Promise<void> {
    let pauseMs = jitter(...FIRST_MS, random)
    for (;;) {
      await sleep(pauseMs, signal).catch(() => {}) // ends early where the process stops
      if (signal.aborted) return
      await once(tasks)
      pauseMs = jitter(leastMs, mostMs, random)
    }
  }
  const running = rounds.map(repeat)
  return async () => {
    stopping.abort()
    await Promise.all(running)
  }
}
