import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLogStream } from '../../../src/plugins/log-stream.ts'

const INFO = 30
const ERROR = 50

/** What reached the sink; `log` writes as pino does, which sets the level first. */
function start() {
  const sink = { text: '', writes: 0 }
  const stream = createLogStream({
    write(lines: string) {
      sink.text += lines
      sink.writes += 1
    },
  })
  const log = (line: string, lastLevel = INFO) => Object.assign(stream, { lastLevel }).write(`${line}\n`)
  return { sink, stream, log }
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('lines leave together and in order, none later than 100 ms after it was logged', () => {
  const { sink, log } = start()
  log('first')
  vi.advanceTimersByTime(60)
  log('second')
  expect(sink.text).toBe('')
  vi.advanceTimersByTime(40)
  expect(sink).toEqual({ text: 'first\nsecond\n', writes: 1 })
})

test('an error leaves at once, behind what was logged before it', () => {
  const { sink, log } = start()
  log('before')
  log('error', ERROR)
  expect(sink.text).toBe('before\nerror\n')
})

test('what waits is bounded, and the end of the process leaves nothing behind', () => {
  const { sink, stream, log } = start()
  log('x'.repeat(20_000))
  expect(sink.writes).toBe(1)
  log('last')
  stream.flush()
  stream.flush()
  expect([sink.text.endsWith('\nlast\n'), sink.writes]).toEqual([true, 2])
})
