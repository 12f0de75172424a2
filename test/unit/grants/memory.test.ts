import { expect, test } from 'vitest'
import { createLifeRules } from '../../../src/grants/life.ts'
import { createTokenMemory } from '../../../src/grants/memory.ts'

const FRESH = { accessToken: 'a1', gen: 1n, lifeSeconds: 3600 }

function start() {
  const clock = { ms: 0 }
  const memory = createTokenMemory({ life: createLifeRules(300), monotonicNow: () => clock.ms })
  return { clock, memory }
}

test('a token is lent without a question for 5 s, then only to who has just seen its generation', () => {
  const { clock, memory } = start()
  memory.remember('g', FRESH)
  clock.ms = 5000
  expect(memory.recall('g', undefined)?.accessToken).toBe('a1')
  clock.ms = 5001
  expect(memory.recall('g', undefined)).toBeNull()
  expect(memory.recall('g', { gen: 1n, accessLifeSeconds: 3595 })?.accessToken).toBe('a1')
  expect(memory.recall('g', undefined)?.accessToken).toBe('a1')
})

test('a token of another generation than the one just seen is not lent', () => {
  const { memory } = start()
  memory.remember('g', FRESH)
  expect(memory.recall('g', { gen: 2n, accessLifeSeconds: 3600 })).toBeNull()
})

test('the database’s word on its life counts where it is the shorter, as after a refusal elsewhere', () => {
  const { memory } = start()
  memory.remember('g', FRESH)
  expect(memory.recall('g', { gen: 1n, accessLifeSeconds: 0 })).toBeNull()
  expect(memory.recall('g', { gen: 1n, accessLifeSeconds: 3600 })).toBeNull()
})

test('below 60 s it is not lent', () => {
  const { clock, memory } = start()
  memory.remember('g', { ...FRESH, lifeSeconds: 61 })
  clock.ms = 1000
  expect(memory.recall('g', undefined)).not.toBeNull()
  clock.ms = 1001
  expect(memory.recall('g', undefined)).toBeNull()
})

test('a renewal is due below the margin, and due again only 5 s after a try, also when read again meanwhile', () => {
  const { clock, memory } = start()
  const entry = memory.remember('g', { ...FRESH, lifeSeconds: 301 })
  expect(memory.isRenewalDue(entry)).toBe(false)
  clock.ms = 1001
  expect([memory.isRenewalDue(entry), memory.isRenewalDue(entry)]).toEqual([true, false])
  expect(memory.isRenewalDue(memory.remember('g', { ...FRESH, lifeSeconds: 299 }))).toBe(false)
  clock.ms = 6001
  expect(memory.isRenewalDue(entry)).toBe(true)
})

test('a generation is forgotten by its own name only', () => {
  const { memory } = start()
  memory.remember('g', { ...FRESH, gen: 2n })
  memory.forget('g', 1n)
  expect(memory.recall('g', undefined)).not.toBeNull()
  memory.forget('g', 2n)
  expect(memory.recall('g', undefined)).toBeNull()
})
