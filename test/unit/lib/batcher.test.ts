import { expect, test } from 'vitest'
import { createBatcher } from '../../../src/lib/batcher.ts'

test('what comes in together runs as one batch, and each caller gets its own result', async () => {
  const batches: number[][] = []
  const batcher = createBatcher({
    run: async (items: number[]) => {
      batches.push(items)
      return items.map((item) => item * 2)
    },
    maxBatch: 10,
    maxAtOnce: 1,
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
  })
  const failed = await Promise.allSettled([batcher.add('a'), batcher.add('b')])
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  isBroken = false
  expect(await batcher.add('c')).toBe('c')
})
