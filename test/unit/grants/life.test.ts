import { expect, test } from 'vitest'
import { createLifeRules } from '../../../src/grants/life.ts'

test('what Zoom documents: lent down to 60 s, renewed below the margin that is set', () => {
  const life = createLifeRules(300)
  expect([life.leastSeconds(), life.marginSeconds()]).toEqual([60, 300])
  life.noteIssued(3600)
  expect([life.leastSeconds(), life.marginSeconds()]).toEqual([60, 300])
})

test('the largest margin that may be set is kept to', () => {
  const life = createLifeRules(3000)
  life.noteIssued(3600)
  expect(life.marginSeconds()).toBe(3000)
})

test.each([60, 90, 119, 120, 200, 310])(
  'a token of %i s is not below either mark the moment it is issued',
  (seconds) => {
    const life = createLifeRules(300)
    life.noteIssued(seconds)
    expect(life.leastSeconds()).toBeLessThan(life.marginSeconds())
    expect(life.marginSeconds()).toBeLessThan(seconds)
    expect(life.leastSeconds()).toBeLessThanOrEqual(60)
  },
)

test('what was issued last counts', () => {
  const life = createLifeRules(300)
  life.noteIssued(60)
  life.noteIssued(3600)
  expect([life.leastSeconds(), life.marginSeconds()]).toEqual([60, 300])
})
