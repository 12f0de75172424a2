import { beforeEach, expect, test } from 'vitest'
import { createClockWatch } from '../../src/clock-watch.ts'

const DATABASE_MS = 1_700_000_000_000
let hereMs: number
let monotonicMs: number
let answerMs: number
let questions: number
let lines: [string, number, string][]
let shown: number[]
let look: () => Promise<void>

beforeEach(() => {
  ;[hereMs, monotonicMs, answerMs, questions, lines, shown] = [DATABASE_MS, 0, 0, 0, [], []]
  const say =
    (level: string) =>
    ({ offset_seconds }: { offset_seconds: number }, message: string) =>
      lines.push([level, offset_seconds, message])
  const watch = createClockWatch({
    sql: {
      rows: async () => {
        questions += 1
        monotonicMs += answerMs
        hereMs += answerMs
        return [{ timeMs: DATABASE_MS + answerMs / 2 }] as never
      },
    },
    log: { error: say('error'), info: say('info') } as never,
    now: () => hereMs,
    monotonicNow: () => monotonicMs,
    show: (seconds) => shown.push(seconds),
  })
  look = watch.look
})

/** The next look, so much later by either clock, with this machine's clock so far ahead. */
async function later(aheadMs: number, pauseMs = 60_000): Promise<void> {
  monotonicMs += pauseMs
  hereMs = DATABASE_MS + aheadMs
  await look()
}

test.each([31_000, -31_000, 600_000])('a clock that is %i ms off is told, and by how much', async (aheadMs) => {
  await later(aheadMs)
  expect(lines).toEqual([['error', aheadMs / 1000, 'the clocks of this machine and of the database differ']])
  expect(shown).toEqual([aheadMs / 1000])
})

test.each([0, 30_000, -30_000])('one that is %i ms off is not', async (aheadMs) => {
  await later(aheadMs)
  expect(lines).toEqual([])
  expect(shown).toEqual([aheadMs / 1000])
})

test('a slow answer of the database is not taken for a wrong clock', async () => {
  answerMs = 80_000
  await later(0)
  expect([lines, shown]).toEqual([[], [0]])
  await later(60_000) // it may be as little as 20 s
  expect(lines).toEqual([])
})

test('it is told again every ten minutes while it lasts, and once when it is over', async () => {
  await later(40_000)
  await later(40_000)
  await later(40_000)
  expect(lines).toHaveLength(1)
  await later(40_000, 10 * 60_000)
  expect(lines).toHaveLength(2)
  await later(0)
  await later(0)
  expect(lines.slice(2)).toEqual([['info', 0, 'the clocks of this machine and of the database agree again']])
  await later(40_000)
  expect(lines).toHaveLength(4)
})

test('the database is asked twice a minute at most, however often somebody looks', async () => {
  await later(0)
  await later(0, 29_999)
  expect(questions).toBe(1)
  await later(0, 1)
  expect(questions).toBe(2)
})
