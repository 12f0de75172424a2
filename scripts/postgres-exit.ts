import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The servers this process uses and has not left: data folder and how to leave. */
const inUse = new Map<() => Promise<void>, string>()
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Makes sure that a server is left however this process ends, short of `kill -9`. A signal is acted on only where
 * nobody else listens for it; otherwise its listener closes the service first and calls the returned function last.
 * @returns leaves the server, once
 */
export function releaseAtExit(dataDir: string, leave: () => Promise<void>): () => Promise<void> {
  let leaving: Promise<void> | undefined
  const stop = () => {
    leaving ??= leave().finally(() => forget(stop))
    return leaving
  }
  if (inUse.size === 0) {
    for (const signal of SIGNALS) process.on(signal, onSignal)
    process.on('exit', onExit)
  }
  inUse.set(stop, dataDir)
  return stop
}

function forget(stop: () => Promise<void>): void {
  inUse.delete(stop)
  if (inUse.size > 0) return
  for (const signal of SIGNALS) process.off(signal, onSignal)
  process.off('exit', onExit)
}

function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return
  void Promise.allSettled([...inUse.keys()].map((stop) => stop())).then(() => process.kill(process.pid, signal))
}

/** Nothing can be awaited here: another process joins the server and leaves it again, as its last user if it is. */
function onExit(): void {
  const script = fileURLToPath(new URL('./leave-postgres.ts', import.meta.url))
  for (const dataDir of inUse.values()) {
    spawn(process.execPath, [script, dataDir], { detached: true, stdio: 'ignore', windowsHide: true }).unref()
  }
}
