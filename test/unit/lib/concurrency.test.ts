import { expect, test, vi } from 'vitest'
import { createDeadline, jitter, sleep, withDeadline } from '../../../src/lib/deadline.ts'
import { createLru } from '../../../src/lib/lru.ts'
import { createSemaphore } from '../../../src/lib/semaphore.ts'
import { createSingleFlight } from '../../../src/lib/single-flight.ts'

test('callers of one key share one flight; the next after it is settled starts another', async () => {
  const flights = createSingleFlight<number>()
  const { promise, resolve } = Promise.withResolvers<number>()
  const work = vi.fn(() => promise)
  const waiting = Array.from({ length: 50 }, () => flights.run('grant', work))
  const other = flights.run('other', async () => 2)
  expect(flights.size).toBe(2)
  resolve(1)
  expect(new Set(await Promise.all(waiting))).toEqual(new Set([1]))
  expect([await other, work.mock.calls.length, flights.size]).toEqual([2, 1, 0])
  expect(await flights.run('grant', async () => 3)).toBe(3)
})

test('a failed flight fails all its waiters and leaves no entry, even when the work throws at once', async () => {
  const flights = createSingleFlight<number>()
  const explode = () => {
    throw new Error('no')
  }
  const results = await Promise.allSettled([flights.run('k', explode), flights.run('k', explode)])
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(flights.size).toBe(0)
})

test('a waiter that gives up does not cancel the flight', async () => {
  const flights = createSingleFlight<string>()
  const { promise, resolve } = Promise.withResolvers<string>()
  const patient = flights.run('k', () => promise)
  await expect(
    withDeadline(
      flights.run('k', () => promise),
      1,
      () => new Error('gave up'),
    ),
  ).rejects.toThrow('gave up')
  resolve('done')
  expect(await patient).toBe('done')
})

test('a flight takes no more waiters than it is told to', async () => {
  const flights = createSingleFlight<number>({ maxWaiters: 2 })
  const { promise, resolve } = Promise.withResolvers<number>()
  const taken = [flights.run('k', () => promise), flights.run('k', () => promise)]
  const busy = { code: 'busy', message: 'Too many requests wait for the same answer', retryAfterSeconds: 1 }
  await expect(flights.run('k', () => promise)).rejects.toMatchObject(busy)
  resolve(1)
  expect(await Promise.all(taken)).toEqual([1, 1])
})

test('a deadline passes a result and an error on, and wins over work that hangs', async () => {
  const late = () => new Error('late')
  expect(await withDeadline(Promise.resolve(1), 1000, late)).toBe(1)
  await expect(withDeadline(Promise.reject(new Error('own')), 1000, late)).rejects.toThrow('own')
  const { promise, reject } = Promise.withResolvers<never>()
  await expect(withDeadline(promise, 1, late)).rejects.toThrow('late')
  reject(new Error('nobody waits for this any more')) // an unhandled rejection would fail the run
})

test('a budget runs down on the clock that it was given and stops at 0', () => {
  let nowMs = 100
  const deadline = createDeadline(50, () => nowMs)
  expect([deadline.remainingMs(), deadline.expired]).toEqual([50, false])
  nowMs = 130
  expect(deadline.remainingMs()).toBe(20)
  nowMs = 200
  expect([deadline.remainingMs(), deadline.expired]).toEqual([0, true])
  expect(createDeadline(1000).remainingMs()).toBeGreaterThan(900)
})

test('a sleep ends early with the reason of its signal', async () => {
  await expect(sleep(60_000, AbortSignal.abort(new Error('stopping')))).rejects.toThrow('stopping')
  const controller = new AbortController()
  const sleeping = sleep(60_000, controller.signal)
  controller.abort(new Error('stopped'))
  await expect(sleeping).rejects.toThrow('stopped')
  await expect(sleep(1, new AbortController().signal)).resolves.toBeUndefined()
})

test('jitter reaches both of its ends and nothing beyond', () => {
  expect(jitter(100, 400, () => 0)).toBe(100)
  expect(jitter(100, 400, () => 0.999999)).toBe(400)
  for (let i = 0; i < 200; i++) expect(jitter(1, 3)).toBeOneOf([1, 2, 3])
})

test('a semaphore runs no more than its limit at once, in order of arrival', async () => {
  const semaphore = createSemaphore(2, 100)
  let running = 0
  let peak = 0
  const order: number[] = []
  const work = (n: number) => async () => {
    order.push(n)
    peak = Math.max(peak, ++running)
    await sleep(1)
    running -= 1
    return n
  }
  const results = await Promise.all(Array.from({ length: 20 }, (_, n) => semaphore.run(work(n), 5000)))
  const all = Array.from({ length: 20 }, (_, n) => n)
  expect([results, order, peak, running]).toEqual([all, all, 2, 0])
})

test('a semaphore refuses at once when its queue is full, and later when a wait is too long', async () => {
  const semaphore = createSemaphore(1, 1)
  const { promise, resolve } = Promise.withResolvers<string>()
  const first = semaphore.run(() => promise, 1000)
  const queued = semaphore.run(async () => 'never', 5)
  await expect(semaphore.run(async () => 'never', 1000)).rejects.toMatchObject({ code: 'busy' })
  await expect(queued).rejects.toMatchObject({ code: 'busy', retryAfterSeconds: 1 })
  const next = semaphore.run(async () => 'served', 1000)
  resolve('done')
  expect([await first, await next]).toEqual(['done', 'served'])
})

test('failed work gives its place back', async () => {
  const semaphore = createSemaphore(1, 0)
  await expect(semaphore.run(() => Promise.reject(new Error('no')), 10)).rejects.toThrow('no')
  expect(await semaphore.run(async () => 1, 10)).toBe(1)
})

test('a bounded map drops what was used least recently', () => {
  const map = createLru<string, number>(2)
  map.set('a', 1)
  map.set('b', 2)
  map.get('a')
  map.set('c', 3)
  expect([map.get('a'), map.get('b'), map.get('c'), map.size]).toEqual([1, undefined, 3, 2])
  map.set('a', 4)
  map.set('d', 5)
  expect([map.get('a'), map.get('c')]).toEqual([4, undefined])
  expect([map.delete('a'), map.delete('a'), map.size]).toEqual([true, false, 1])
  map.clear()
  expect(map.size).toBe(0)
})
