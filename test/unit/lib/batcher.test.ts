import { expect, onTestFinished, test, vi } from 'vitest'
import { createBatcher } from '../../../src/lib/batcher.ts'

const UNBOUND = { maxWaiting: 1000, maxWaitMs: 60_000, patienceMs: 60_000 }

test('what comes in together runs as one batch, and each caller gets its own result', async () => {
  const batches: number[][] = []
  const batcher = createBatcher({
    run: async (items: number[]) => {
      batches.push(items)
      return items.map((item) => item * 2)
    },
    maxBatch: 10,
    maxAtOnce: 1,
    ...UNBOUND,
  })
  expect(await Promise.all([1, 2, 3].map(batcher.add))).toEqual([2, 4, 6])
  expect(batches).toEqual([[1, 2, 3]])
})

test('no batch is larger than allowed, and no more run at once than allowed', async () => {
  let running = 0
  let most = 0
  const sizes: number[] = []
  const batcher = createBatcher({
    run: async (items: number[]) => {
      running += 1
      most = Math.max(most, running)
      sizes.push(items.length)
      await new Promise(setImmediate)
      running -= 1
      return items
    },
    maxBatch: 4,
    maxAtOnce: 2,
    ...UNBOUND,
  })
  const items = Array.from({ length: 21 }, (_, index) => index)
  expect(await Promise.all(items.map(batcher.add))).toEqual(items)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(4)
  expect(most).toBe(2)
})

test('a batch that fails fails its own callers, and the next one runs', async () => {
  let isBroken = true
  const batcher = createBatcher({
    run: async (items: string[]) => {
      if (isBroken) throw new Error('broken')
      return items
    },
    maxBatch: 10,
    maxAtOnce: 1,
    ...UNBOUND,
  })
  const failed = await Promise.allSettled([batcher.add('a'), batcher.add('b')])
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  isBroken = false
  expect(await batcher.add('c')).toBe('c')
})

/** One batch under way until `release`, and what was run so far; time stands still but for `pass`. */
function heldBatcher(bounds: {
  maxWaiting: number
  maxWaitMs: number
  maxBatch?: number
  maxAtOnce?: number
  patienceMs?: number
}) {
  let nowMs = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  const ran: string[] = []
  const run = async (items: string[]) => {
    ran.push(...items)
    await promise
    return items
  }
  const batcher = createBatcher({ run, maxBatch: 1, maxAtOnce: 1, patienceMs: 60_000, now: () => nowMs, ...bounds })
  const pass = (elapsedMs: number) => {
    nowMs += elapsedMs
  }
  return { batcher, ran, release: resolve, pass }
}

test('beyond the bound the next is refused at once, as busy', async () => {
  const { batcher, release } = heldBatcher({ maxWaiting: 2, maxWaitMs: 60_000 })
  const first = batcher.add('first')
  await new Promise(setImmediate)
  const waiting = [batcher.add('second'), batcher.add('third')]
  await expect(batcher.add('fourth')).rejects.toMatchObject({ code: 'busy' })
  release()
  expect(await Promise.all([first, ...waiting])).toEqual(['first', 'second', 'third'])
})

test('what has waited too long is refused and never run: nobody waits for it any more', async () => {
  const { batcher, ran, release, pass } = heldBatcher({ maxWaiting: 10, maxWaitMs: 1000 })
  const first = batcher.add('first')
  await new Promise(setImmediate)
  const late = expect(batcher.add('late')).rejects.toMatchObject({ code: 'busy' })
  pass(1)
  const inTime = batcher.add('in time')
  pass(1000)
  release()
  await late
  expect([await first, await inTime, ran]).toEqual(['first', 'in time', ['first', 'in time']])
})

test('a batch under way is waited for with patience only: one that hangs does not hold up what comes after it', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => {
    vi.useRealTimers()
  })
  const { batcher, ran, release, pass } = heldBatcher({
    maxBatch: 10,
    maxAtOnce: 2,
    patienceMs: 5,
    maxWaiting: 10,
    maxWaitMs: 60_000,
  })
  const first = batcher.add('hangs')
  await new Promise(setImmediate)
  const second = batcher.add('after it')
  await new Promise(setImmediate)
  expect(ran).toEqual(['hangs'])
  pass(5)
  vi.advanceTimersByTime(5)
  expect(ran).toEqual(['hangs', 'after it'])
  release()
  await Promise.all([first, second])
})
