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
  expect([isGrantPaused(), breakers.open().grant]).toEqual([false, 0])
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

test('the endpoint’s last 50 failures count, however many came before, and 10 s are still in time', () => {
  const slow = start()
  failAll(slow, 30, 30, 60_000) // long ago
  expect(failAll(slow, 50, 25, 200)).toContain(true)
  const world = start()
  failAll(world, 1, 1, 0)
  failAll(world, 48, 25, 0)
  world.pass(10_000)
  expect(world.breakers.endpoint.noteFailure('last')).toBe(true)
})

test('an answer forgets the failures before it, to the last one', () => {
  const world = start()
  failAll(world, 50, 20, 0)
  world.breakers.endpoint.noteAnswer()
  expect(failAll(world, 49, 25, 0)).not.toContain(true)
  expect(failAll(world, 1, 1, 0)).toEqual([true])
})

test('what is refused by a pause says so, and when to come again', () => {
  const { breakers, pass } = start()
  const errorOf = (check: () => void) => {
    try {
      check()
      return undefined
    } catch (error) {
      return error
    }
  }
  for (let failures = 0; failures < 3; failures++) breakers.grant.noteFailure('g')
  pass(1500)
  expect(errorOf(() => breakers.grant.check('g'))).toMatchObject({
    reason: 'paused',
    retryAfterSeconds: 4,
    message: 'Zoom did not renew the access token several times; try again later.',
  })
  for (let failures = 0; failures < 50; failures++) breakers.endpoint.noteFailure(`g${failures}`)
  expect(errorOf(breakers.endpoint.check)).toMatchObject({
    reason: 'paused',
    retryAfterSeconds: 2,
    message: 'Zoom does not renew access tokens at the moment; try again.',
  })
  pass(2000)
  expect(errorOf(breakers.endpoint.check)).toBeUndefined()
  breakers.app.trip('a')
  expect(errorOf(() => breakers.app.check('a'))).toMatchObject({
    code: 'app_misconfigured',
    retryAfterSeconds: 2,
    message: 'Zoom refuses the client id or secret of this Zoom app; the operator must mend it.',
  })
})

test('the shortest pause of a grant is half of the longest, so that grants do not come back together', () => {
  let nowMs = 0
  const { grant } = createBreakers({ monotonicNow: () => nowMs, random: () => 0 })
  for (let failures = 0; failures < 3; failures++) grant.noteFailure('g')
  nowMs = 2499
  expect(() => grant.check('g')).toThrow()
  nowMs = 2500
  expect(() => grant.check('g')).not.toThrow()
})

test('a refused app is told the first time, probed once every 2 s, and no other app is held up', () => {
  const { breakers, pass } = start()
  const isPaused = (zoomAppId: string) => {
    try {
      breakers.app.check(zoomAppId)
      return false
    } catch {
      return true
    }
  }
  expect([breakers.app.trip('a'), breakers.app.trip('a')]).toEqual([true, false])
  expect([isPaused('a'), isPaused('b')]).toEqual([true, false])
  pass(1999)
  expect(isPaused('a')).toBe(true)
  pass(1)
  expect([isPaused('a'), isPaused('a')]).toEqual([false, true])
  pass(1999)
  expect(isPaused('a')).toBe(true)
  expect([breakers.app.recover('a'), breakers.app.recover('a'), isPaused('a')]).toEqual([true, false, false])
  expect(breakers.app.trip('a')).toBe(true)
})

test('a refused app that nobody asks for is no alert ten minutes after its last probe was due', () => {
  const { breakers, pass } = start()
  breakers.app.trip('a')
  expect(breakers.open().app).toBe(1)
  pass(2000 + 600_000 - 1)
  expect(breakers.open().app).toBe(1)
  pass(1)
  expect(breakers.open().app).toBe(0)
})
