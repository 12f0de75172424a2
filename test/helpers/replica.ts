import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const ROOT = join(import.meta.dirname, '..', '..')

export interface Replica {
  url: string
  process: ChildProcess
  /** Every line the process has written. */
  log: string[]
  /** Its exit status once it has ended. */
  ended: Promise<number | null>
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const probe = createServer()
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** Starts `node src/server.ts` as operators do. Does not wait. */
export async function spawnServer(env: Record<string, string>): Promise<Replica> {
  const port = await freePort()
  const log: string[] = []
  const child = spawn(process.execPath, ['src/server.ts'], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', HOST: '127.0.0.1', PORT: String(port), METRICS_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => log.push(String(chunk)))
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  return {
    url: `http://127.0.0.1:${port}`,
    process: child,
    log,
    ended,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return await ended
    },
  }
}

/** The same, once it is ready. @throws when it ends before */
export async function startReplica(env: Record<string, string>): Promise<Replica> {
  const replica = await spawnServer(env)
  for (;;) {
    if (replica.process.exitCode !== null) throw new Error(`the service ended: ${replica.log.join('')}`)
    const ready = await fetch(`${replica.url}/readyz`).catch(() => null)
    if (ready?.status === 200) return replica
    await delay(25)
  }
}
