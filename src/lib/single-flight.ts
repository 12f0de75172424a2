import { AppError } from '../errors.ts'

export interface SingleFlight<T> {
  run(key: string, work: () => Promise<T>): Promise<T>
  /** Flights under way. */
  readonly size: number
}

/**
 * Callers that ask for one key at the same time share one piece of work and its result. The work belongs to no caller: one that
 * gives up (race the promise with a deadline) never cancels it for the others.
 * Beyond `maxWaiters` callers of one flight, the next is refused at once. @throws busy
 */
export function createSingleFlight<T>({ maxWaiters = Number.POSITIVE_INFINITY } = {}): SingleFlight<T> {
  const flights = new Map<string, { promise: Promise<T>; waiters: number }>()

  async function fly(key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } finally {
      flights.delete(key)
    }
  }

  return {
    async run(key, work) {
      const flight = flights.get(key)
      if (!flight) {
        const entry = { promise: Promise.resolve().then(() => fly(key, work)), waiters: 1 }
        flights.set(key, entry)
        return entry.promise
      }
      if (flight.waiters >= maxWaiters) {
        throw new AppError('busy', 'Too many requests wait for the same answer', { retryAfterSeconds: 1 })
      }
      flight.waiters += 1
      return flight.promise
    },
    get size() {
      return flights.size
    },
  }
}
