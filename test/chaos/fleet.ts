import { setTimeout as delay } from 'node:timers/promises'
import { type Replica, startReplica } from '../helpers/replica.ts'
import type { Random } from './random.ts'

/** How a process of the fleet ended. */
interface Ending {
  signal: NodeJS.Signals
  atMs: number
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
  /** Freezes one for a while; `meanwhile` gets the process id of the sleeper. */
  freeze(ms: number, meanwhile: (pid: number) => Promise<void>): Promise<void>
  endingOf(pid: number): Ending | undefined
  napsOf(pid: number): Nap[]
  end(): Promise<void>
}

/** Replicas that come and go; each is a process of its own. */
export async function startFleet(size: number, env: Record<string, string>, random: Random): Promise<Fleet> {
  const living = new Set(await Promise.all(Array.from({ length: size }, () => startReplica(env))))
  const frozen = new Set<Replica>()
  const endings = new Map<number, Ending>()
  const naps: Nap[] = []
  let isEnding = false
  const awake = () => [...living].filter((replica) => !frozen.has(replica))
  const choose = () => (awake().length > 0 ? random.pick(awake()) : null)
  const pidOf = ({ process: child }: Replica) => child.pid ?? 0

  async function replace(signal: NodeJS.Signals): Promise<Replica | null> {
    const victim = choose()
    if (!victim) return null
    living.delete(victim)
    endings.set(pidOf(victim), { signal, atMs: Date.now() })
    await victim.stop(signal)
    for (;;) {
      const started = await startReplica(env).catch(() => null) // the database may be away just now
      if (started && isEnding) await started.stop('SIGTERM')
      else if (started) living.add(started)
      if (started || isEnding) return victim
      await delay(500)
    }
  }
  return {
    any: choose,
    kill: async () => (await replace('SIGKILL')) !== null,
    roll: async () => (await replace('SIGTERM'))?.process.exitCode ?? null,
    async freeze(ms, meanwhile) {
      const victim = choose()
      if (!victim) return
      frozen.add(victim)
      const nap: Nap = { pid: pidOf(victim), fromMs: Date.now(), toMs: null }
      naps.push(nap)
      victim.process.kill('SIGSTOP')
      await meanwhile(nap.pid)
      await delay(ms)
      victim.process.kill('SIGCONT')
      nap.toMs = Date.now()
      frozen.delete(victim)
    },
    endingOf: (pid) => endings.get(pid),
    napsOf: (pid) => naps.filter((nap) => nap.pid === pid),
    async end() {
      isEnding = true
      await Promise.all([...living].map((replica) => replica.stop('SIGTERM')))
    },
  }
}
