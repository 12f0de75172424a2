import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { untilStored } from '../../../src/grants/until-stored.ts'
import { SealError } from '../../../src/lib/sealing.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const withCode = (code: string) => Object.assign(new Error('from the database'), { code })

/** Work that fails with these errors, one after the other, and then succeeds. */
function start(errors: unknown[], what?: 'tokens' | 'verdict') {
  const lines: unknown[][] = []
  const line =
    (level: string) =>
    (...args: unknown[]) =>
      void lines.push([level, ...args])
  let tries = 0
  const work = async () => {
    const error = errors[tries++]
    if (error !== undefined) throw error
    return 'stored'
  }
  const result = untilStored({ error: line('error'), warn: line('warn') } as never, 'grant', work, what)
  return { result, lines, tries: () => tries }
}

test('a write is tried again after 50 ms, then after twice as long each time, and every second at the latest', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.999_999) // the longest pause of each
  const pausesMs = [50, 100, 200, 400, 800, 1000, 1000]
  const { result, tries } = start(pausesMs.map(() => new Error('no connection')))
  await vi.advanceTimersByTimeAsync(0)
  for (const [index, pauseMs] of pausesMs.entries()) {
    await vi.advanceTimersByTimeAsync(pauseMs - 1)
    expect([pauseMs, tries()]).toEqual([pauseMs, index + 1])
    await vi.advanceTimersByTimeAsync(1)
    expect([pauseMs, tries()]).toEqual([pauseMs, index + 2])
  }
  expect(await result).toBe('stored')
})

test('replicas that lost the database together do not come back together: a pause is at least half as long', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0)
  const { tries } = start([new Error('no connection')])
  await vi.advanceTimersByTimeAsync(24)
  expect(tries()).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(tries()).toBe(2)
})

test.each([
  ['a value that the database refuses', withCode('22P05')],
  ['a reference that it refuses', withCode('23503')],
  ['a data key that is destroyed', new SealError('The owner has no data key')],
])('%s is given up at once', async (_, error) => {
  const { result, tries, lines } = start([error])
  await expect(result).rejects.toBe(error)
  expect([tries(), lines]).toEqual([1, []])
})

test.each(['53300', '57P01', '42501', '08006', '12200'])(
  'an error that passes (%s) is waited through',
  async (code) => {
    const { result, tries } = start([withCode(code)])
    await vi.runAllTimersAsync()
    expect([await result, tries()]).toEqual(['stored', 2])
  },
)

test('tokens that are not stored alarm, a verdict warns', async () => {
  const error = new Error('no connection')
  const fields = { err: error, grant_id: 'grant' }
  const tokens = start([error])
  const verdict = start([error], 'verdict')
  await vi.runAllTimersAsync()
  expect(tokens.lines).toEqual([['error', fields, 'tokens are not stored yet; trying again']])
  expect(verdict.lines).toEqual([['warn', fields, 'a verdict on a grant is not stored yet; trying again']])
})
