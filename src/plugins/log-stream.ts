import { type DestinationStream, symbols } from 'pino'

const ERROR = 50 // pino's number; fatal is above it
/** Fifty lines or so: beyond it the system call is no longer what a line costs. */
const MAX_LENGTH = 16 * 1024
const MAX_AGE_MS = 100

export interface LogStream extends DestinationStream {
  /** Writes what waits. Call it when the process ends. */
  flush(): void
}

/**
 * Gathers log lines on their way to `sink`: a system call per line would be a seventh of what a mint costs. None waits longer than
 * 100 ms, an error and what came before it not at all. Only a process that is killed outright (SIGKILL, out of memory) loses
 * what waits.
 */
export function createLogStream(sink: DestinationStream): LogStream {
  let waiting = ''
  let timer: NodeJS.Timeout | null = null

  function flush(): void {
    if (timer) clearTimeout(timer)
    timer = null
    const lines = waiting
    waiting = ''
    if (lines !== '') sink.write(lines)
  }
  return {
    flush,
    write(this: { lastLevel?: number }, line) {
      waiting += line
      if (waiting.length >= MAX_LENGTH || (this.lastLevel ?? 0) >= ERROR) flush()
      else timer ??= setTimeout(flush, MAX_AGE_MS).unref()
    },
    [symbols.needsMetadataGsym]: true, // pino then sets lastLevel before it writes
  } as LogStream
}
