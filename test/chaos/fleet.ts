import { setTimeout as delay } from 'node:timers/promises'
import { type Replica, startReplica } from '../helpers/replica.ts'
import type { Random } from './random.ts'

/** How a process of the fleet ended. */
interface Ending {
  signal: NodeJS.Signals
  atMs: number
}

/** One question that a process answered at once, and so a turn of its loop. */
interface Pulse {
  askedMs: number
  answeredMs: number
}

/** A time in which a process stood still; no end while it still does. */
interface Nap {
  pid: number
  fromMs: number
  toMs: number | null
}

export interface Fleet {
  /** One that lives, as far as is known; null while none does. */
  any(): Replica | null
  /** Kills one with SIGKILL and starts another in its place; false where none lives. */
  kill(): Promise<boolean>
  /** Stops one with SIGTERM and starts another in its place; gives its exit status. */
  roll(): Promise<number | null>
  /** Freezes one for a while, where another is awake; `meanwhile` gets the process id of the sleeper. */
  freeze(ms: number, meanwhile: (pid: number) => Promise<void>): Promise<boolean>
  endingOf(pid: number): Ending | undefined
  napsOf(pid: number): Nap[]
  /** The last of its life. */
  pulsesOf(pid: number): Pulse[]
  /** When no event is under way any more: who starts just then would be left behind. */
  end(): Promise<void>
}

const PULSES = 100
const PULSE_EVERY_MS = 50

/** Asks a process all the time whether it is there, and keeps the latest answers. */
async function feelPulse({ url, process: child }: Replica, pulses: Pulse[]): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) {
    const askedMs = Date.now()
    const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000) }).catch(() => null)
    await answer?.text().catch(() => null)
    if (answer) pulses.push({ askedMs, answeredMs: Date.now() })
    if (pulses.length > PULSES) pulses.shift()
    await delay(PULSE_EVERY_MS)
  }
}

/** Replicas that come and go; each is a process of its own. */
export async function startFleet(size: number, env: Record<string, string>, random: Random): Promise<Fleet> {
  const living = new Set<Replica>()
  const frozen = new Set<Replica>()
  const endings = new Map<number, Ending>()
  const naps: Nap[] = []
  const pulses = new Map<number, Pulse[]>()
  let isEnding = false
  const awake = () => [...living].filter((replica) => !frozen.has(replica))
  const choose = () => (awake().length > 0 ? random.pick(awake()) : null)
  const pidOf = ({ process: child }: Replica) => child.pid ?? 0

  async function startOne(): Promise<Replica> {
    const started = await startReplica(env)
    const felt: Pulse[] = []
    pulses.set(pidOf(started), felt)
    void feelPulse(started, felt)
    living.add(started)
    return started
  }
  async function replace(signal: NodeJS.Signals): Promise<Replica | null> {
    const victim = choose()
    if (!victim) return null
    living.delete(victim)
    endings.set(pidOf(victim), { signal, atMs: Date.now() })
    await victim.stop(signal)
    // the database may be away just now
    while (!isEnding && !(await startOne().catch(() => null))) await delay(500)
    return victim
  }
  await Promise.all(Array.from({ length: size }, startOne))
  return {
    any: choose,
    kill: async () => (await replace('SIGKILL')) !== null,
    roll: async () => (await replace('SIGTERM'))?.process.exitCode ?? null,
    async freeze(ms, meanwhile) {
      const victim = choose()
      if (!victim || awake().length < 2) return false
      frozen.add(victim)
      const nap: Nap = { pid: pidOf(victim), fromMs: Date.now(), toMs: null }
      naps.push(nap)
      victim.process.kill('SIGSTOP')
      await meanwhile(nap.pid)
      await delay(ms)
      victim.process.kill('SIGCONT')
      nap.toMs = Date.now()
      frozen.delete(victim)
      return true
    },
    endingOf: (pid) => endings.get(pid),
    pulsesOf: (pid) => pulses.get(pid) ?? [],
    napsOf: (pid) => naps.filter((nap) => nap.pid === pid),
    async end() {
      isEnding = true
      await Promise.all([...living].map((replica) => replica.stop('SIGTERM')))
    },
  }
}
