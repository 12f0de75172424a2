import { describe, expect, test, vi } from 'vitest'
import { createRestoreGuard } from '../../../src/grants/restore-guard.ts'
import { createWatermarks } from '../../../src/grants/watermarks.ts'

const CONSENT = { consentEpoch: 3, consentReason: null }
const PAIR = { refreshCt: Buffer.from('r6'), accessCt: Buffer.from('a6'), expiresInSeconds: 3600 }
/** A row that is one generation behind what was seen. */
const BEHIND = { gen: 5n, storedAtSeconds: 50, status: 'connected', statusReason: null as string | null }
const HEALED = { level: 'error', message: 'database_went_backwards: a lost rotation was put back' }
const CONDEMNED = { level: 'error', message: 'database_went_backwards: a grant must reconnect' }

function start({ isForeign = false } = {}) {
  const calls: unknown[][] = []
  const counted: string[] = []
  const lines: { level: string; fields: unknown; message: unknown }[] = []
  const line = (level: string) => (fields: unknown, message: unknown) => void lines.push({ level, fields, message })
  /** What the database does: rows of a sweep, when a pair was put back, whether a grant was marked. */
  const database = {
    rows: [] as { grantId: string; gen: bigint; status: string; storedAtSeconds: number }[],
    heal: async (): Promise<number | null> => 60,
    condemn: async () => true,
    ask: async () => {},
  }
  const watermarks = createWatermarks(() => 0)
  const restoreGuard = createRestoreGuard({
    store: {
      heal: async (...args) => {
        calls.push(['heal', ...args])
        return await database.heal()
      },
      condemnRestored: async (...args) => {
        calls.push(['condemn', ...args])
        return await database.condemn()
      },
      generations: async (grantIds) => {
        calls.push(['generations', grantIds])
        await database.ask()
        return database.rows.filter(({ grantId }) => grantIds.includes(grantId))
      },
    },
    watermarks,
    log: { error: line('error'), info: line('info') } as never,
    countBackwards: (fate) => void counted.push(fate),
    isForeign: () => isForeign,
  })
  const see = (grantId = 'g') => watermarks.note(grantId, { gen: 6n, storedAtSeconds: 50 })
  const keep = (grantId = 'g') => {
    see(grantId)
    watermarks.keep(grantId, 6n, PAIR, CONSENT)
  }
  return { calls, counted, lines, database, watermarks, restoreGuard, see, keep }
}

describe('a row that is read', () => {
  test('and not behind is noted, so that an older one is met', async () => {
    const { restoreGuard, calls } = start()
    expect(await restoreGuard.examine('g', { ...BEHIND, gen: 6n })).toBe(false)
    expect(calls).toEqual([])
    expect(await restoreGuard.examine('g', BEHIND)).toBe(true)
    expect(calls).toEqual([['condemn', 'g', 5n]])
  })

  test('and behind gets its pair back where it is kept, under its own consent, told and counted; then all is well', async () => {
    const { restoreGuard, calls, counted, lines, keep, watermarks } = start()
    keep()
    expect(await restoreGuard.examine('g', BEHIND)).toBe(true)
    expect(calls).toEqual([['heal', 'g', 5n, 6n, { ...PAIR, ...CONSENT }]])
    expect([counted, lines]).toEqual([['healed'], [{ ...HEALED, fields: { grant_id: 'g', gen: '5', seen_gen: '6' } }]])
    expect(watermarks.seenBeyond('g', { gen: 6n, storedAtSeconds: 60 })).toBeNull()
    expect(watermarks.seenBeyond('g', { gen: 5n, storedAtSeconds: 60 })).toBe(6n)
  })

  test('and behind must reconnect where its pair is gone: what the row holds was spent', async () => {
    const { restoreGuard, calls, counted, lines, see } = start()
    see()
    expect(await restoreGuard.examine('g', BEHIND)).toBe(true)
    expect(calls).toEqual([['condemn', 'g', 5n]])
    expect([counted, lines]).toEqual([['condemned'], [{ ...CONDEMNED, fields: { grant_id: 'g', gen: '5' } }]])
  })

  test('and was changed meanwhile is left as it is, untold and uncounted', async () => {
    const { restoreGuard, counted, lines, keep, see, database } = start()
    database.heal = async () => null
    database.condemn = async () => false
    keep('kept')
    see('seen')
    expect(await restoreGuard.examine('kept', BEHIND)).toBe(true)
    expect(await restoreGuard.examine('seen', BEHIND)).toBe(true)
    expect(await restoreGuard.heal('kept', 5n, 6n, { ...PAIR, ...CONSENT })).toBeNull()
    expect([counted, lines]).toEqual([[], []])
  })

  test.each([
    ['of a grant that was let go', { status: 'disconnected' }],
    ['of a grant that waits for its user already', { status: 'reconnect_required', statusReason: 'restored_backup' }],
  ])('and behind is not touched: %s', async (_, more) => {
    const { restoreGuard, calls, see } = start()
    see()
    expect(await restoreGuard.examine('g', { ...BEHIND, ...more })).toBe(false)
    expect(calls).toEqual([])
  })

  test('and behind is not touched on a database of another installation', async () => {
    const { restoreGuard, calls, keep } = start({ isForeign: true })
    keep()
    expect(await restoreGuard.examine('g', BEHIND)).toBe(false)
    expect(calls).toEqual([])
  })

  test('and waits for its user is healed all the same where the pair is kept, and told the true reason where it blames Zoom', async () => {
    const { restoreGuard, calls, keep, see } = start()
    keep('kept')
    see('seen')
    const waiting = { ...BEHIND, status: 'reconnect_required' }
    expect(await restoreGuard.examine('kept', { ...waiting, statusReason: 'rotation_lost' })).toBe(true)
    expect(await restoreGuard.examine('seen', { ...waiting, statusReason: 'rejected_by_zoom' })).toBe(true)
    expect(calls.map(([name, grantId]) => [name, grantId])).toEqual([
      ['heal', 'kept'],
      ['condemn', 'seen'],
    ])
  })

  test('and let go with its pair still kept is not given it back', async () => {
    const { restoreGuard, calls, keep } = start()
    keep()
    expect(await restoreGuard.examine('g', { ...BEHIND, status: 'disconnected' })).toBe(false)
    expect(calls).toEqual([])
  })
})

describe('a sweep', () => {
  const row = (grantId: string, more: object = {}) => ({
    grantId,
    gen: 5n,
    status: 'connected',
    storedAtSeconds: 50,
    ...more,
  })

  test('looks at the grants whose pair is kept, and puts back those that are behind', async () => {
    const { restoreGuard, calls, keep, see, database } = start()
    for (const grantId of ['behind', 'well', 'gone']) keep(grantId)
    see('without a pair')
    database.rows = [row('behind'), row('well', { gen: 6n }), row('gone', { status: 'disconnected' })]
    await restoreGuard.sweep()
    expect(calls).toEqual([
      ['generations', ['behind', 'well', 'gone']],
      ['heal', 'behind', 5n, 6n, { ...PAIR, ...CONSENT }],
    ])
  })

  test('asks nothing where there is nothing, nor on a database of another installation', async () => {
    const [empty, foreign] = [start(), start({ isForeign: true })]
    foreign.keep()
    await empty.restoreGuard.sweep()
    await foreign.restoreGuard.sweep()
    expect([empty.calls, foreign.calls]).toEqual([[], []])
  })

  test('goes on after a grant that fails, and then says that one did', async () => {
    const { restoreGuard, counted, keep, database } = start()
    for (const grantId of ['first', 'second']) keep(grantId)
    database.rows = [row('first'), row('second')]
    const heal = vi.fn(database.heal).mockRejectedValueOnce(new Error('no connection'))
    database.heal = heal
    await expect(restoreGuard.sweep()).rejects.toThrow('no connection')
    expect([heal.mock.calls.length, counted]).toEqual([2, ['healed']])
    await restoreGuard.sweep()
  })

  test('is one for all who ask at the same time', async () => {
    const { restoreGuard, calls, keep } = start()
    keep()
    await Promise.all([restoreGuard.sweep(), restoreGuard.sweep()])
    expect(calls).toHaveLength(1)
  })

  test('after the database became another one looks at every grant that was seen, a thousand at once', async () => {
    const { restoreGuard, calls, see } = start()
    for (let grant = 0; grant < 2000; grant++) see(`grant ${grant}`)
    restoreGuard.sweepAll()
    await restoreGuard.sweep()
    expect(calls.map(([, grantIds]) => (grantIds as string[]).length)).toEqual([1000, 1000])
    expect(new Set(calls.flatMap(([, grantIds]) => grantIds)).size).toBe(2000)
    await restoreGuard.sweep()
    expect(calls).toHaveLength(2)
  })

  test('of every grant that fails is due again until it has succeeded', async () => {
    const { restoreGuard, calls, see, database, lines } = start()
    see()
    const error = new Error('no connection')
    database.ask = vi.fn(database.ask).mockRejectedValueOnce(error).mockRejectedValueOnce(error)
    restoreGuard.sweepAll()
    await expect(restoreGuard.sweep()).rejects.toBe(error) // the same one
    const message = 'grants could not be compared; the next round does it'
    expect(lines).toEqual([{ level: 'info', fields: { err: error }, message }])
    await expect(restoreGuard.sweep()).rejects.toBe(error)
    await restoreGuard.sweep()
    await restoreGuard.sweep()
    expect(calls).toEqual(Array(3).fill(['generations', ['g']]))
  })

  test('of the kept grants that fails does not make one of every grant due', async () => {
    const { restoreGuard, calls, keep, see, database } = start()
    keep()
    see('without a pair')
    database.ask = vi.fn(database.ask).mockRejectedValueOnce(new Error('no connection'))
    await expect(restoreGuard.sweep()).rejects.toThrow('no connection')
    await restoreGuard.sweep()
    expect(calls).toEqual(Array(2).fill(['generations', ['g']]))
  })
})
