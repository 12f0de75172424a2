import { expect, test } from 'vitest'
import { createFailureLimit } from '../../../src/plugins/failure-limit.ts'

test('100 failures of an address in a second are 401, the next is 429 until the second is over; the reason is for the log', () => {
  const clock = { ms: 1_800_000_000_000 }
  const { refuse } = createFailureLimit(() => clock.ms)
  const refusal = { code: 'unauthenticated', reason: 'why', message: 'The request is not authentic.' }
  for (let failure = 0; failure < 100; failure++) {
    clock.ms += 9
    expect(refuse('a', 'why')).toMatchObject(refusal)
  }
  const limited = { code: 'rate_limited', reason: 'why', message: 'Too many failed authentications; wait.' }
  expect(refuse('a', 'why')).toMatchObject({ ...limited, retryAfterSeconds: 1 })
  expect(refuse('b', 'why')).toMatchObject(refusal)
  clock.ms += 99
  expect(refuse('a', 'why')).toMatchObject({ code: 'rate_limited' })
  clock.ms += 1
  expect(refuse('a', 'why')).toMatchObject(refusal)
})
