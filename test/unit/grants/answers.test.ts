import { expect, test } from 'vitest'
import { createAnswers } from '../../../src/grants/answers.ts'
import { createBreakers } from '../../../src/grants/breakers.ts'

type Outcome = Parameters<ReturnType<typeof createAnswers>['note']>[1]
const OF = { id: 'grant', zoomAppId: 'app' }
const PROOFS: Outcome[] = ['rotated', 'rejected', 'blocked']
const FAILURES: Outcome[] = ['not_sent', 'server_error', 'ambiguous']

function start() {
  const clock = { ms: 0 }
  const breakers = createBreakers({ monotonicNow: () => clock.ms, random: () => 0 })
  const noted: string[][] = []
  const lines: unknown[][] = []
  const line =
    (level: string) =>
    (...args: unknown[]) =>
      void lines.push([level, ...args])
  const answers = createAnswers({
    breakers,
    appPauses: { note: (...args) => void noted.push(args) },
    log: { info: line('info'), error: line('error') } as never,
  })
  const repeat = (outcome: Outcome, times: number, grants = 1) => {
    for (let time = 0; time < times; time++) answers.note({ id: `grant-${time % grants}`, zoomAppId: 'app' }, outcome)
  }
  return { answers, breakers, noted, lines, repeat }
}

test.each(PROOFS)('%s proves that Zoom takes the app: it is written down, and a refused one is let on', (outcome) => {
  const { answers, breakers, noted, lines } = start()
  answers.note(OF, outcome)
  answers.noteAppFault('app')
  expect(breakers.open().app).toBe(1)
  lines.length = 0
  answers.note(OF, outcome)
  answers.note(OF, outcome)
  expect(breakers.open().app).toBe(0)
  expect(noted).toEqual([
    ['app', 'taken'],
    ['app', 'refused'],
    ['app', 'taken'],
    ['app', 'taken'],
  ])
  expect(lines).toEqual([['info', { zoom_app_id: 'app' }, 'Zoom answers this Zoom app again']])
})

test.each<Outcome>([...FAILURES, 'rate_limited', 'refused', 'app_fault'])('%s proves nothing of the app', (outcome) => {
  const { answers, breakers, noted } = start()
  answers.noteAppFault('app')
  noted.length = 0
  answers.note(OF, outcome)
  expect([noted, breakers.open().app]).toEqual([[], 1])
})

test('an app that Zoom refuses is told once, until Zoom has taken it', () => {
  const { answers, lines } = start()
  const alarm = ['error', { zoom_app_id: 'app' }, 'Zoom refuses this Zoom app: check its client id and secret']
  answers.noteAppFault('app')
  answers.noteAppFault('app')
  expect(lines).toEqual([alarm])
})

test.each<Outcome>([...FAILURES, 'refused'])('the third %s in a row pauses the grant', (outcome) => {
  const { breakers, repeat } = start()
  repeat(outcome, 2)
  expect(breakers.open().grant).toBe(0)
  repeat(outcome, 1)
  expect(breakers.open().grant).toBe(1)
})

test.each<Outcome>([...PROOFS, 'rate_limited', 'app_fault'])('%s ends the count of a grant’s failures', (outcome) => {
  const { breakers, repeat } = start()
  repeat('ambiguous', 2)
  repeat(outcome, 1)
  repeat('ambiguous', 2)
  expect(breakers.open().grant).toBe(0)
})

test.each(FAILURES)('50 times %s over 20 grants pause the token endpoint, told once', (outcome) => {
  const { breakers, repeat, lines } = start()
  repeat(outcome, 52, 20)
  expect(breakers.open().endpoint).toBe(1)
  expect(lines).toEqual([
    ['error', 'Zoom’s token endpoint fails for every grant: refreshes are paused, one probe every 2 s'],
  ])
})

test.each<Outcome>([...PROOFS, 'refused', 'rate_limited', 'app_fault'])(
  '%s shows that the token endpoint answers, which is told once',
  (outcome) => {
    const { breakers, repeat, lines } = start()
    repeat('ambiguous', 50, 20)
    lines.length = 0
    repeat(outcome, 2)
    expect(breakers.open().endpoint).toBe(0)
    expect(lines).toEqual([['info', 'Zoom’s token endpoint answers again']])
  },
)
