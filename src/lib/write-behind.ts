import { AppError } from '../errors.ts'

export interface WriteBehindOptions<Item> {
  /** Writes a batch, or nothing of it. */
  write: (batch: Item[]) => Promise<void>
  everyMs: number
  batchItems: number
  /** Beyond it the oldest are dropped: `write` would have to be away for long. */
  maxQueued: number
  /** The database could not be reached; what waits is tried again. */
  onDelayed: (error: AppError, waiting: number) => void
  /** The database refused a value: its batch is lost, or it would hold up every other. */
  onRefused: (error: unknown, lost: number) => void
  /** The process ends, and the database is still away. */
  onLost: (lost: number) => void
}

const CLOSING_TRIES = 5

/** Writes in batches, soon after, what no answer waits for. */
export function createWriteBehind<Item>(options: WriteBehindOptions<Item>) {
  const { write, everyMs, batchItems, maxQueued, onDelayed, onRefused, onLost } = options
  const queue: Item[] = []
  let timer: NodeJS.Timeout | null = null
  let writing: Promise<void> = Promise.resolve()

  /** One batch. False where the database could not be reached; the items then wait for the next turn. */
  async function writeBatch(): Promise<boolean> {
    const batch = queue.splice(0, batchItems)
    if (batch.length === 0) return true
    try {
      await write(batch)
      return true
    } catch (error) {
      if (error instanceof AppError) {
        queue.unshift(...batch)
        onDelayed(error, queue.length)
        return false
      }
      onRefused(error, batch.length)
      return true
    }
  }
  async function writeAll(): Promise<void> {
    while (queue.length > 0 && (await writeBatch()));
  }
  function schedule(): void {
    timer ??= setTimeout(() => {
      timer = null
      writing = writing.then(writeAll)
      writing.then(() => queue.length > 0 && schedule())
    }, everyMs)
  }
  return {
    /** Queues an item; it is written within `everyMs` or so, and on `flush`. */
    add(item: Item): void {
      queue.push(item)
      if (queue.length > maxQueued) queue.shift()
      schedule()
    },
    /** Writes what waits; on shutdown, after the last request. */
    async flush(): Promise<void> {
      if (timer) clearTimeout(timer)
      timer = null
      await writing
      for (let tries = 0; queue.length > 0 && tries < CLOSING_TRIES; ) if (!(await writeBatch())) tries += 1
      if (queue.length > 0) onLost(queue.length)
    },
  }
}
