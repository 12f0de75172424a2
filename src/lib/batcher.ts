import { AppError } from '../errors.ts'

export interface Batcher<In, Out> {
  add(item: In): Promise<Out>
}

interface Waiting<In, Out> {
  item: In
  resolve: (result: Out) => void
  reject: (error: unknown) => void
  sinceMs: number
}

/**
 * Runs what comes in together as one piece of work: an item starts at once while fewer than `maxAtOnce` batches run, else it
 * joins those that wait for a place. Nothing is delayed to fill a batch. `run` gives one result per item, in order; where it
 * throws, every item of its batch does. At most `maxWaiting` wait, none longer than `maxWaitMs`: what nobody waits for any more
 * is not done. @throws busy
 */
export function createBatcher<In, Out>({
  run,
  maxBatch,
  maxAtOnce,
  maxWaiting,
  maxWaitMs,
  now = () => performance.now(),
}: {
  run: (items: In[]) => Promise<Out[]>
  maxBatch: number
  maxAtOnce: number
  maxWaiting: number
  maxWaitMs: number
  /** Milliseconds that only ever grow; the wall clock may jump. */
  now?: () => number
}): Batcher<In, Out> {
  const waiting: Waiting<In, Out>[] = []
  let running = 0
  let isScheduled = false

  const busy = () => new AppError('busy', 'Too many requests are under way; try again.', { retryAfterSeconds: 1 })

  function refuseLate(): void {
    const oldestMs = now() - maxWaitMs
    const firstInTime = waiting.findIndex(({ sinceMs }) => sinceMs >= oldestMs)
    for (const { reject } of waiting.splice(0, firstInTime < 0 ? waiting.length : firstInTime)) reject(busy())
  }
  async function runBatch(): Promise<void> {
    const batch = waiting.splice(0, maxBatch)
    running += 1
    try {
      const results = await run(batch.map(({ item }) => item))
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Out)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
    running -= 1
    startWhatFits()
  }
  function startWhatFits(): void {
    refuseLate()
    while (waiting.length > 0 && running < maxAtOnce) runBatch()
  }
  return {
    add: (item) =>
      new Promise<Out>((resolve, reject) => {
        if (waiting.length >= maxWaiting) {
          reject(busy())
          return
        }
        waiting.push({ item, resolve, reject, sinceMs: now() })
        if (isScheduled) return
        isScheduled = true
        // after this turn of the event loop: requests that were read together are opened together
        setImmediate(() => {
          isScheduled = false
          startWhatFits()
        })
      }),
  }
}
