import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Round, startRounds } from '../../../src/jobs/rounds.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const EVERY_MS: [number, number] = [30_000, 60_000]

function start(rounds: Round[], { random = (): number => 0, look = async () => {} } = {}) {
  const log = { warn: vi.fn() }
  const database = { isForeign: false, look: vi.fn(look) }
  const stop = startRounds({
    rounds,
    lookAtDatabase: database.look,
    isForeign: () => database.isForeign,
    log,
    random,
  })
  return { log, database, stop }
}
const roundOf = (...runs: Round['tasks'][number]['run'][]): Round => ({
  everyMs: EVERY_MS,
  tasks: runs.map((run, index) => ({ name: `task-${index}`, run })),
})

describe('a round', () => {
  test('comes soon after the start, and again at times that differ between replicas', async () => {
    const [early, late] = [vi.fn(async () => {}), vi.fn(async () => {})]
    start([roundOf(early)])
    start([roundOf(late)], { random: () => 0.999999 })
    await vi.advanceTimersByTimeAsync(1000)
    expect([early, late].map(({ mock }) => mock.calls.length)).toEqual([1, 0])
    await vi.advanceTimersByTimeAsync(4000)
    expect([early, late].map(({ mock }) => mock.calls.length)).toEqual([1, 1])
    await vi.advanceTimersByTimeAsync(26_000)
    expect([early, late].map(({ mock }) => mock.calls.length)).toEqual([2, 1])
    await vi.advanceTimersByTimeAsync(34_000)
    expect([early, late].map(({ mock }) => mock.calls.length)).toEqual([3, 2])
  })

  test('that takes long is not begun twice, and holds up no other', async () => {
    const slow = vi.fn(() => new Promise(() => {}))
    const other = vi.fn(async () => {})
    start([roundOf(slow), roundOf(other)])
    await vi.advanceTimersByTimeAsync(1000 + 3 * EVERY_MS[0])
    expect([slow, other].map(({ mock }) => mock.calls.length)).toEqual([1, 4])
  })

  test('goes on past a task that fails, which an operator reads of', async () => {
    const error = new Error('no')
    const after = vi.fn(async () => {})
    const { log } = start([roundOf(() => Promise.reject(error), after)])
    await vi.advanceTimersByTimeAsync(1000)
    expect(after).toHaveBeenCalledTimes(1)
    expect(log.warn.mock.calls).toEqual([[{ err: error, task: 'task-0' }, 'a job did not run; later again']])
  })

  test('looks whose database this is each time, and does nothing in another installation’s', async () => {
    const run = vi.fn(async () => {})
    const { database } = start([roundOf(run)])
    database.isForeign = true
    await vi.advanceTimersByTimeAsync(1000)
    expect([database.look.mock.calls.length, run.mock.calls.length]).toEqual([1, 0])
    database.isForeign = false
    await vi.advanceTimersByTimeAsync(EVERY_MS[0])
    expect([database.look.mock.calls.length, run.mock.calls.length]).toEqual([2, 1])
  })

  test('does nothing while nobody knows whose database it is, and says so once', async () => {
    const run = vi.fn(async () => {})
    const { log } = start([roundOf(run, run)], { look: () => Promise.reject(new Error('away')) })
    await vi.advanceTimersByTimeAsync(1000)
    expect([run.mock.calls.length, log.warn.mock.calls.length]).toEqual([0, 1])
  })
})

describe('stopping', () => {
  test('ends a pause at once: nothing runs any more', async () => {
    const run = vi.fn(async () => {})
    const { stop } = start([roundOf(run)])
    await stop()
    await vi.advanceTimersByTimeAsync(10 * EVERY_MS[1])
    expect(run).not.toHaveBeenCalled()
  })

  test('tells what is under way, waits for it, begins nothing after it, and calls its end no failure', async () => {
    const after = vi.fn(async () => {})
    const untilStopped = (signal: AbortSignal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('cut short'))))
    const { log, stop } = start([roundOf(untilStopped, after)])
    await vi.advanceTimersByTimeAsync(1000)
    await stop()
    expect([after.mock.calls.length, log.warn.mock.calls.length]).toEqual([0, 0])
  })
})

test('where the database takes 2 s to answer, rounds of every second rest half a minute: requests need the connections', async () => {
  const run = vi.fn(async () => {})
  const slowly = () => new Promise<void>((resolve) => setTimeout(resolve, 2000))
  start([{ ...roundOf(run), everyMs: [1000, 1000] }], { look: slowly })
  await vi.advanceTimersByTimeAsync(3000)
  expect(run).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(29_000)
  expect(run).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(4000)
  expect(run).toHaveBeenCalledTimes(2)
})
