import { setTimeout as delay } from 'node:timers/promises'
import { type Replica, startReplica } from '../helpers/replica.ts'
import type { Random } from './random.ts'

export interface Fleet {
  /** One that lives, as far as is known; null while none does. */
  any(): Replica | null
  /** Kills one with SIGKILL and starts another in its place; false where none lives. */
  kill(): Promise<boolean>
  /** Stops one with SIGTERM and starts another in its place. */
  roll(): Promise<number | null>
  /** Freezes one for a while: it sleeps through its own deadlines and leases. */
  freeze(ms: number): Promise<void>
  end(): Promise<void>
}

/** Replicas that come and go; each is a process of its own. */
export async function startFleet(size: number, env: Record<string, string>, random: Random): Promise<Fleet> {
  const living = new Set(await Promise.all(Array.from({ length: size }, () => startReplica(env))))
  const frozen = new Set<Replica>()
  let isEnding = false
  const awake = () => [...living].filter((replica) => !frozen.has(replica))
  const choose = () => (awake().length > 0 ? random.pick(awake()) : null)

  async function replace(signal: NodeJS.Signals): Promise<Replica | null> {
    const victim = choose()
    if (!victim) return null
    living.delete(victim)
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
    async freeze(ms) {
      const victim = choose()
      if (!victim) return
      frozen.add(victim)
      victim.process.kill('SIGSTOP')
      await delay(ms)
      victim.process.kill('SIGCONT')
      frozen.delete(victim)
    },
    async end() {
      isEnding = true
      await Promise.all([...living].map((replica) => replica.stop('SIGTERM')))
    },
  }
}
