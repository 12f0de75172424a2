import { expect, test } from 'vitest'
import { createRefusals } from '../../../src/grants/refusals.ts'

function start() {
  const clock = { ms: 0 }
  return { clock, refusals: createRefusals(() => clock.ms) }
}

test('a refused generation may be renewed, by everyone who met it', () => {
  const { refusals } = start()
  expect([refusals.mayRenew('g', 1n), refusals.mayRenew('g', 1n)]).toEqual([true, true])
})

test('the generation that this brought may not, if it is refused before anyone saw it taken', () => {
  const { refusals } = start()
  refusals.mayRenew('g', 1n)
  expect([refusals.mayRenew('g', 2n), refusals.mayRenew('g', 3n), refusals.mayRenew('other', 1n)]).toEqual([
    false,
    false,
    true,
  ])
})

test('once it was taken, it may be renewed when it is refused later', () => {
  const { refusals } = start()
  refusals.mayRenew('g', 1n)
  refusals.noteTaken('g', 1n) // of the refused one: proves nothing
  refusals.noteTaken('g', 2n)
  expect(refusals.mayRenew('g', 2n)).toBe(true)
})

test('after a pause of 30 s, and not sooner, renewing is tried again; tokens taken meanwhile do not end it', () => {
  const { refusals, clock } = start()
  refusals.pause('g', 2n)
  refusals.noteTaken('g', 3n)
  clock.ms = 29_999
  expect(refusals.mayRenew('g', 3n)).toBe(false)
  clock.ms = 30_000
  expect(refusals.mayRenew('g', 3n)).toBe(true)
})

test('a new authorisation forgets all of it', () => {
  const { refusals } = start()
  refusals.pause('g', 2n)
  refusals.forget('g')
  expect(refusals.mayRenew('g', 3n)).toBe(true)
})
