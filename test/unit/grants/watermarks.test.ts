import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createWatermarks } from '../../../src/grants/watermarks.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

const MINUTE_MS = 60_000
const CONSENT = { consentEpoch: 3, consentReason: 'why' }
const mark = (gen: bigint, storedAtSeconds: number) => ({ gen, storedAtSeconds })
const pairOf = (text: string, expiresInSeconds = 3600) => ({
  refreshCt: Buffer.from(`refresh ${text}`),
  accessCt: Buffer.from(`access ${text}`),
  expiresInSeconds,
})
const isZeroed = (bytes: Buffer | undefined) => bytes?.every((byte) => byte === 0)

function start() {
  const clock = { ms: 0 }
  const watermarks = createWatermarks(() => clock.ms)
  const pass = (ms: number) => {
    clock.ms += ms
    vi.advanceTimersByTime(ms)
  }
  return { clock, watermarks, pass }
}

describe('a generation that was seen', () => {
  test('shows an older row of the same history to have gone backwards, and no other', () => {
    const { watermarks } = start()
    expect(watermarks.seenBeyond('g', mark(5n, 100))).toBeNull()
    watermarks.note('g', mark(6n, 100))
    expect(watermarks.seenBeyond('g', mark(5n, 100))).toBe(6n)
    expect(watermarks.seenBeyond('g', mark(5n, 99))).toBe(6n)
    expect(watermarks.seenBeyond('g', mark(6n, 99))).toBeNull()
    expect(watermarks.seenBeyond('g', mark(5n, 101))).toBeNull() // a later authorisation
    expect(watermarks.seenBeyond('another', mark(5n, 100))).toBeNull()
    expect(watermarks.grantIds()).toEqual(['g'])
  })

  test.each([
    ['an answer of an older generation that comes late', mark(5n, 100)],
    ['one of the same generation with an older time', mark(6n, 90)],
  ])('is not forgotten for %s', (_, late) => {
    const { watermarks } = start()
    watermarks.note('g', mark(6n, 100))
    watermarks.note('g', late)
    expect(watermarks.seenBeyond('g', mark(5n, 95))).toBe(6n)
    expect(watermarks.seenBeyond('g', mark(5n, 100))).toBe(6n)
  })

  test('gives way to a later authorisation, whose numbers begin anew', () => {
    const { watermarks } = start()
    watermarks.note('g', mark(6n, 100))
    watermarks.note('g', mark(2n, 200))
    expect(watermarks.seenBeyond('g', mark(2n, 200))).toBeNull()
    expect(watermarks.seenBeyond('g', mark(1n, 200))).toBe(2n)
  })

  test('gives way to a later one although the database’s clock was put back', () => {
    const { watermarks } = start()
    watermarks.note('g', mark(6n, 100))
    watermarks.note('g', mark(7n, 50))
    expect(watermarks.seenBeyond('g', mark(6n, 50))).toBe(7n)
  })
})

describe('a pair that this process stored', () => {
  test('is there for ten minutes under its own generation, with its consent and what is left of its life', () => {
    const { watermarks, clock } = start()
    watermarks.keep('g', 6n, pairOf('6', 300), CONSENT)
    expect(watermarks.pairOf('g', 6n)).toEqual({ ...pairOf('6', 300), ...CONSENT })
    expect([watermarks.pairOf('g', 5n), watermarks.pairOf('g', 7n), watermarks.pairOf('x', 6n)]).toEqual([
      null,
      null,
      null,
    ])
    clock.ms = 100_000
    expect(watermarks.pairOf('g', 6n)?.expiresInSeconds).toBe(200)
    clock.ms = 10 * MINUTE_MS - 1
    expect(watermarks.pairOf('g', 6n)?.expiresInSeconds).toBe(0)
    clock.ms += 1
    expect(watermarks.pairOf('g', 6n)).toBeNull()
  })

  test('is a copy: what its maker does with the bytes changes nothing', () => {
    const { watermarks } = start()
    const pair = pairOf('6')
    watermarks.keep('g', 6n, pair, CONSENT)
    pair.refreshCt.fill(0)
    pair.accessCt.fill(0)
    expect(watermarks.pairOf('g', 6n)).toMatchObject(pairOf('6'))
  })

  test.each<[string, (world: ReturnType<typeof start>) => void]>([
    ['its grant is let go', ({ watermarks }) => watermarks.drop('g')],
    ['a later one takes its place', ({ watermarks }) => watermarks.keep('g', 7n, pairOf('7'), CONSENT)],
    ['the process stops', ({ watermarks }) => watermarks.close()],
    ['its ten minutes are over, though nobody asks', ({ pass }) => pass(10 * MINUTE_MS)],
  ])('is overwritten in memory when %s', (_, end) => {
    const world = start()
    world.watermarks.keep('g', 6n, pairOf('6'), CONSENT)
    const kept = world.watermarks.pairOf('g', 6n)
    end(world)
    expect([isZeroed(kept?.refreshCt), isZeroed(kept?.accessCt)]).toEqual([true, true])
    expect(world.watermarks.pairOf('g', 6n)).toBeNull()
  })

  test('is looked after as long as there is one, once a minute, and by no timer after that', () => {
    const { watermarks, pass } = start()
    watermarks.keep('early', 6n, pairOf('early'), CONSENT)
    pass(MINUTE_MS / 2)
    watermarks.keep('late', 6n, pairOf('late'), CONSENT)
    expect(vi.getTimerCount()).toBe(1)
    pass(9 * MINUTE_MS)
    expect(watermarks.keptGrantIds()).toEqual(['early', 'late'])
    pass(MINUTE_MS / 2)
    expect(watermarks.keptGrantIds()).toEqual(['late'])
    pass(MINUTE_MS)
    expect([watermarks.keptGrantIds(), vi.getTimerCount()]).toEqual([[], 0])
    watermarks.keep('next', 6n, pairOf('next'), CONSENT)
    expect(vi.getTimerCount()).toBe(1)
    watermarks.close()
    expect([watermarks.keptGrantIds(), vi.getTimerCount()]).toEqual([[], 0])
  })
})
