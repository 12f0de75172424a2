import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import packageJson from '../package.json' with { type: 'json' }
import type { LoadOrder, LoadResult } from './load.ts'
import type { ZoomCalls } from './stand-in.ts'

const ROOT = join(import.meta.dirname, '..')
const READY_WITHIN_MS = 30_000
const MEASURED_CORE = '0'

/** Counted before anything is pinned, which changes the answer. */
export const CORES = availableParallelism()

/** A process that is measured: it has core 0 to itself, as far as this machine's other users let it. */
export interface Measured {
  port: number
  pid: number
  stop(): Promise<void>
}

/**
 * Moves this process, and so whatever it starts from now on, off the measured core.
 * False where `taskset` is missing or there is only one core: nothing is pinned then.
 */
export function leaveMeasuredCore(): boolean {
  if (CORES < 2) return false
  try {
    execFileSync('taskset', ['-a', '-c', '-p', `1-${CORES - 1}`, String(process.pid)], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function launch(isPinned: boolean, args: string[], options: Parameters<typeof spawn>[2]): ChildProcess {
  const node = [process.execPath, ...args]
  const [command = '', ...rest] = isPinned ? ['taskset', '-c', MEASURED_CORE, ...node] : node
  return spawn(command, rest, { cwd: ROOT, ...options })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

/** The next message of a process of ours. @throws when it ends instead */
async function hear<T>(child: ChildProcess): Promise<T> {
  const waiting = new AbortController()
  const { signal } = waiting
  const gone = once(child, 'exit', { signal }).then(() => Promise.reject(new Error('a process of the bench ended')))
  gone.catch(() => undefined)
  const [message] = await Promise.race([once(child, 'message', { signal }), gone]).finally(() => waiting.abort())
  return message
}

async function ask<T>(child: ChildProcess, question: object | string): Promise<T> {
  child.send(question)
  return await hear(child)
}

const portOf = async (child: ChildProcess) => (await hear<{ port: number }>(child)).port

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  return typeof address === 'object' && address ? address.port : 0
}

/** The bare forwarder. */
export async function startForwarder(isPinned: boolean, zoomOrigin: string): Promise<Measured> {
  const child = launch(isPinned, ['bench/forwarder.ts', zoomOrigin], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  return { port: await portOf(child), pid: child.pid as number, stop: () => end(child) }
}

export interface ServiceOptions {
  isPinned: boolean
  env: Record<string, string>
  /** Where its log goes, as an operator's would. */
  logFile: string
  nodeOptions?: string[]
}

/** What `npm start` gives to Node, by flags and by environment: what is measured is what runs. */
const startFlags = () => new Set(packageJson.scripts.start.match(/--max[a-z-]+=[0-9]+/g) ?? [])
const startEnvironment = () =>
  Object.fromEntries(
    [...packageJson.scripts.start.matchAll(/\b([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name, value]),
  )

/** `node src/server.ts`, once it is ready. @throws when it ends before */
export async function startService({ isPinned, env, logFile, nodeOptions = [] }: ServiceOptions): Promise<Measured> {
  const [port, metricsPort] = [await freePort(), await freePort()]
  const log = openSync(logFile, 'a')
  const child = launch(isPinned, [...startFlags(), ...nodeOptions, 'src/server.ts'], {
    env: {
      ...startEnvironment(),
      PATH: process.env.PATH,
      HOST: '127.0.0.1',
      PORT: String(port),
      METRICS_PORT: String(metricsPort),
      ...env,
    },
    stdio: ['ignore', log, log],
  })
  const giveUpAt = Date.now() + READY_WITHIN_MS
  while (Date.now() < giveUpAt && child.exitCode === null) {
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null)
    if (ready?.status === 200) return { port, pid: child.pid as number, stop: () => end(child) }
    await delay(50)
  }
  await end(child)
  throw new Error(`the service did not become ready; its log: ${logFile}`)
}

/** The stand-in for Zoom. */
export async function startStandIn() {
  const child = fork(join(import.meta.dirname, 'stand-in.ts'))
  const origin = `http://127.0.0.1:${await portOf(child)}`
  return {
    origin,
    calls: () => ask<ZoomCalls>(child, 'calls'),
    stop: () => end(child),
  }
}

/** The load generator, a process of its own. */
export function startLoad() {
  const child = fork(join(import.meta.dirname, 'load.ts'))
  return {
    run: (order: LoadOrder) => ask<LoadResult>(child, order),
    stop: () => end(child),
  }
}

export type StandIn = Awaited<ReturnType<typeof startStandIn>>
export type Load = ReturnType<typeof startLoad>
