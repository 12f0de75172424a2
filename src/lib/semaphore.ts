import { AppError } from '../errors.ts'

export interface Semaphore {
  run<T>(work: () => Promise<T>, deadlineMs: number): Promise<T>
}

interface Waiter {
  enter(): void
  timer: NodeJS.Timeout
}

/**
 * At most `max` pieces of work at once, served in order of arrival; at most `maxQueue` wait, each no longer than its own
 * `deadlineMs`, which bounds the wait alone and not the work. @throws busy
 */
export function createSemaphore(max: number, maxQueue: number): Semaphore {
  const queue = new Set<Waiter>() // keeps its order, and a waiter that gives up leaves in constant time
  let running = 0

  const busy = () => new AppError('busy', 'Too many requests are under way', { retryAfterSeconds: 1 })

  function acquire(deadlineMs: number): Promise<void> {
    if (queue.size >= maxQueue) return Promise.reject(busy())
    return new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        queue.delete(waiter)
        reject(busy())
      }, deadlineMs)
      const waiter: Waiter = { enter: resolve, timer }
      queue.add(waiter)
    })
  }

  function release(): void {
    const [next] = queue
    if (!next) {
      running -= 1
      return
    }
    queue.delete(next) // its place is handed over, so a newcomer cannot overtake it
    clearTimeout(next.timer)
    next.enter()
  }

  async function hold<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } finally {
      release()
    }
  }

  return {
    run(work, deadlineMs) {
      if (running >= max) return acquire(deadlineMs).then(() => hold(work))
      running += 1
      return hold(work)
    },
  }
}
