const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))
// a statement's answer may start the next one some promises later; two idle turns of the event loop in a row prove rest
const IDLE_TURNS = 2

export type Activity = ReturnType<typeof createActivity>

/** Knows what is under way in the database, so that a command ends when all that it set off is done or held: no sleep, no poll. */
export function createActivity() {
  let running = 0
  let onIdle = () => {}
  return {
    async during<T>(work: () => Promise<T>): Promise<T> {
      running += 1
      try {
        return await work()
      } finally {
        running -= 1
        if (running === 0) onIdle()
      }
    },
    /** Resolves once nothing moves any more: whoever still waits, waits for a command. */
    async rest(): Promise<void> {
      for (let turns = 0; turns < IDLE_TURNS; turns++) {
        await nextTurn()
        if (running === 0) continue
        turns = -1
        await new Promise<void>((resolve) => {
          onIdle = resolve
        })
      }
    },
  }
}
