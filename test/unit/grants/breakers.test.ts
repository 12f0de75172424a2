import { expect, test } from 'vitest'
import { createBreakers } from '../../../src/grants/breakers.ts'

function start() {
  let nowMs = 0
  const breakers = createBreakers({ monotonicNow: () => nowMs, random: () => 1 - Number.EPSILON })
  const isRefused = (check: () => void) => {
    try {
      check()
      return false
    } catch (error) {
      expect(error).toMatchObject({ code: 'zoom_unavailable' })
      return true
    }
  }
  return {
    breakers,
    pass: (ms: number) => {
      nowMs += ms
    },
    isGrantPaused: (grantId = 'g') => isRefused(() => breakers.grant.check(grantId)),
    isEndpointPaused: () => isRefused(breakers.endpoint.check),
  }
}

test('two failed refreshes of a grant pause nothing, the third pauses this grant and no other', () => {
  const { breakers, isGrantPaused } = start()
  for (let failures = 0; failures < 2; failures++) breakers.grant.noteFailure('g')
  expect(isGrantPaused()).toBe(false)
  breakers.grant.noteFailure('g')
  expect([isGrantPaused('g'), isGrantPaused('h')]).toEqual([true, false])
  expect(breakers.open()).toEqual({ app: 0, grant: 1, endpoint: 0 })
})

test('pauses double up to a minute, and end by themselves', () => {
  const { breakers, pass, isGrantPaused } = start()
  for (let failures = 0; failures < 2; failures++) breakers.grant.noteFailure('g')
  for (const seconds of [5, 10, 20, 40, 60, 60]) {
    breakers.grant.noteFailure('g')
    pass(seconds * 1000 - 1)
    expect(isGrantPaused()).toBe(true)
    pass(2)
    expect(isGrantPaused()).toBe(false)
  }
})

test('an answer of Zoom’s ends the count of a grant', () => {
  const { breakers, isGrantPaused } = start()
  for (let failures = 0; failures < 3; failures++) breakers.grant.noteFailure('g')
  breakers.grant.noteAnswer('g')
  expect(isGrantPaused()).toBe(false)
  for (let failures = 0; failures < 2; failures++) breakers.grant.noteFailure('g')
  expect(isGrantPaused()).toBe(false)
})

const failAll = ({ breakers, pass }: ReturnType<typeof start>, count: number, grants: number, apartMs: number) =>
  Array.from({ length: count }, (_, index) => {
    pass(apartMs)
    return breakers.endpoint.noteFailure(`g${index % grants}`)
  })

test('50 failures in a row over 20 grants within 10 s pause the endpoint, told once; one probe in 2 s', () => {
  const world = start()
  expect(failAll(world, 49, 20, 10)).not.toContain(true)
  expect(world.isEndpointPaused()).toBe(false)
  expect(failAll(world, 3, 20, 10)).toEqual([true, false, false])
  expect(world.isEndpointPaused()).toBe(true)
  expect(world.breakers.open().endpoint).toBe(1)
  world.pass(2000)
  expect([world.isEndpointPaused(), world.isEndpointPaused()]).toEqual([false, true])
  expect([world.breakers.endpoint.noteAnswer(), world.breakers.endpoint.noteAnswer()]).toEqual([true, false])
  expect(world.isEndpointPaused()).toBe(false)
})

test.each([
  ['19 grants', 200, 19, 10],
  ['more than 10 s', 200, 40, 210],
])('%s do not pause the endpoint', (_, count, grants, apartMs) => {
  const world = start()
  expect(failAll(world, count, grants, apartMs)).not.toContain(true)
  expect(world.isEndpointPaused()).toBe(false)
})

test('one answer among the failures keeps the endpoint open', () => {
  const world = start()
  failAll(world, 49, 25, 1)
  world.breakers.endpoint.noteAnswer()
  expect(failAll(world, 49, 25, 1)).not.toContain(true)
})
