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
 * Runs what comes in together as one piece of work. An item starts at once where no batch runs, else with all that wait when the
 * batch under way is back: a batch costs little more than an item. Where there is a full batch, or an item has waited
 * `patienceMs`, further ones start beside it, `maxAtOnce` in all. `run` gives one result per item, in order; where it throws,
 * every item of its batch does. At most `maxWaiting` wait, none longer than `maxWaitMs`: what nobody waits for any more
 * is not done. A result that is an Error is thrown for its item alone. @throws busy
 */
export function createBatcher<In, Out>({
  run,
  maxBatch,
  maxAtOnce,
  patienceMs,
  maxWaiting,
  maxWaitMs,
  now = () => performance.now(),
}: {
  run: (items: In[]) => Promise<(Out | Error)[]>
  maxBatch: number
  maxAtOnce: number
  patienceMs: number
  maxWaiting: number
  maxWaitMs: number
  /** Milliseconds that only ever grow; the wall clock may jump. */
  now?: () => number
}): Batcher<In, Out> {
  const waiting: Waiting<In, Out>[] = []
  let running = 0
  let isScheduled = false
  let impatience: NodeJS.Timeout | null = null

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
      for (const [index, { resolve, reject }] of batch.entries()) {
        const result = results[index]
        if (result instanceof Error) reject(result)
        else resolve(result as Out)
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
    running -= 1
    startWhatFits()
  }
  const patienceLeftMs = () => (waiting[0]?.sinceMs ?? 0) + patienceMs - now()

  function mayStart(): boolean {
    if (waiting.length === 0 || running >= maxAtOnce) return false
    return running === 0 || waiting.length >= maxBatch || patienceLeftMs() <= 0
  }
  function startWhatFits(): void {
    refuseLate()
    while (mayStart()) runBatch()
    if (waiting.length === 0 || running >= maxAtOnce || impatience) return
    impatience = setTimeout(() => {
      impatience = null
      startWhatFits()
    }, patienceLeftMs())
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
