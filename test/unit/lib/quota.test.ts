import { expect, test } from 'vitest'
import { createQuota } from '../../../src/lib/quota.ts'

test('no window of the length holds more than the quota, wherever it begins', () => {
  let nowMs = 0
  const quota = createQuota({ max: 3, windowMs: 1000, monotonicNow: () => nowMs })
  const takenAt: number[] = []
  for (; nowMs < 10_000; nowMs += 70) {
    const isLeft = quota.isLeft('a')
    if (quota.take('a')) takenAt.push(nowMs)
    expect(isLeft).toBe(takenAt.at(-1) === nowMs)
  }
  for (const start of takenAt)
    expect(takenAt.filter((at) => at >= start && at < start + 1000).length).toBeLessThanOrEqual(3)
  expect(takenAt.length).toBeGreaterThanOrEqual(27)
})

test('each key has a quota of its own', () => {
  const quota = createQuota({ max: 1, windowMs: 1000, monotonicNow: () => 0 })
  expect([quota.take('a'), quota.take('a'), quota.take('b')]).toEqual([true, false, true])
})
