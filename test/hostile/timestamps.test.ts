import { describe, expect, test } from 'vitest'
import { exchange, hostileApp, type Row } from '../helpers/hostile.ts'

const h = await hostileApp()
const { bot, seconds } = h
const at = (shift: number) => () => bot({ timestamp: String(seconds() + shift) })
const refused = (number: number, texts: ((now: string) => string)[]): Row[] =>
  texts.map((text) => [`#${number} ${text('ts').slice(0, 30)}`, () => bot({ timestamp: text(String(seconds())) }), 401])

describe('a signed timestamp at the edge of the tolerance:', () => {
  h.table([
    ['#38 300 s ago', at(-300), 200],
    ['#38 301 s ago', at(-301), 401],
    ['#39 300 s ahead', at(300), 200],
    ['#39 301 s ahead', at(301), 401],
  ])
})

describe('a signed timestamp that is no plain number of seconds is 401:', () => {
  h.table([
    ...refused(40, [(ts) => `${ts}000`]),
    ...refused(41, [(ts) => `-${ts}`, () => '-0']),
    ...refused(42, [(ts) => `0${ts}`, (ts) => `000${ts}`]),
    ...refused(43, [() => '0x60374df2', () => '0b11', () => '1_764_000_000']),
    ...refused(44, [() => 'NaN', () => 'Infinity', () => 'null', () => 'undefined', () => 'true']),
    ...refused(45, [
      () => '9007199254740993',
      () => '9223372036854775808',
      () => '18446744073709551616',
      () => '9'.repeat(400),
    ]),
    ...refused(46, [() => '2026-12-01T15:00:00Z', () => 'Tue, 01 Dec 2026 15:00:00 GMT']),
    ...refused(47, [() => '0']),
    ...refused(48, [(ts) => `${ts} junk`, (ts) => `${ts}junk`, (ts) => `${ts}.0`, (ts) => `${ts}e0`, (ts) => `+${ts}`]),
  ])
})

describe('spaces around a timestamp are those of the header line, which Node takes off:', () => {
  const padded = (before: string, after: string) => () => {
    const now = String(seconds())
    return bot({ timestamp: now }).replace(`webhook-timestamp: ${now}`, `webhook-timestamp:${before}${now}${after}`)
  }
  h.table([
    ['#49 none before', padded('', ''), 200],
    ['#49 several before and after', padded('   ', '  '), 200],
    ['#49 tabs', padded('\t', '\t'), 200],
    ['#49 a no-break space, which is no space of HTTP', padded('\u00a0', ''), 401],
  ])
})

test.each([600_000, -600_000])('#50 a clock that steps by %i ms takes the window with it', async (stepMs) => {
  h.nextSecond()
  const before = bot()
  h.shift(stepMs)
  await h.judge(before, 401)
  expect((await exchange(h.port, bot())).status).toBe(200)
  h.nextSecond()
})
h.counted(2)
