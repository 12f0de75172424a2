import { expect, onTestFinished, test, vi } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { createLedger } from '../../../src/features/mints/ledger.ts'
import type { LedgerStore, Settlement } from '../../../src/features/mints/ledger-store.ts'

const settlement = (id: string): Settlement => ({
  id,
  outcome: 'minted',
  reason: null,
  zoomStatus: null,
  zoomCode: null,
  durationMs: 1,
  hostId: null,
})

/** A ledger over a store that fails as it is told to. */
function start() {
  const written: string[] = []
  const failures: Error[] = []
  const lines: string[] = []
  const store = {
    async settle(batch: Settlement[]) {
      const failure = failures.shift()
      if (failure) throw failure
      written.push(...batch.map(({ id }) => id))
    },
  } as LedgerStore
  const say = (_: unknown, message: string) => void lines.push(message)
  const log = { warn: say, error: say } as never
  const ledger = createLedger({ store, log, countMint: () => {}, countUnsigned: () => {} })
  return { ledger, written, failures, lines }
}

test('outcomes wait for a database that is away and are written in order when it is back', async () => {
  const { ledger, written, failures } = start()
  for (const id of ['1', '2', '3']) ledger.settle('join', settlement(id))
  failures.push(new AppError('store_unavailable', 'away'), new AppError('store_unavailable', 'away'))
  await ledger.flush()
  expect(written).toEqual(['1', '2', '3'])
})

test('one batch that the database refuses is given up with an alarm, so that it does not hold back the rest', async () => {
  const { ledger, written, failures, lines } = start()
  ledger.settle('join', settlement('poison'))
  failures.push(new Error('integer out of range'))
  await ledger.flush()
  ledger.settle('join', settlement('next'))
  await ledger.flush()
  expect([written, lines]).toEqual([['next'], ['mint outcomes were refused by the database; they read unknown']])
})

test('on shutdown a database that stays away is given up after a few tries, and it is said how many are lost', async () => {
  const { ledger, failures, lines } = start()
  ledger.settle('join', settlement('1'))
  failures.push(...Array.from({ length: 9 }, () => new AppError('store_unavailable', 'away')))
  await ledger.flush()
  expect(lines.at(-1)).toBe('mint outcomes were not written; they read unknown')
  expect(failures).toHaveLength(4)
})

test('however many outcomes there are, all are written at the next turn, half a second later', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const { ledger, written } = start()
  for (let index = 0; index < 2500; index++) ledger.settle('join', settlement(String(index)))
  await vi.advanceTimersByTimeAsync(500)
  expect(written).toHaveLength(2500)
})
