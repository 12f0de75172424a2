import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CREDENTIALS, GRANT, LEASE, rowStored, STORED, sealedAs, startLease } from '../../helpers/bare-lease.ts'

// the pauses between tries of a write pass as the test lets them
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

const OURS = sealedAs('refresh', 6n, 'r6')
const FRESH = { accessToken: 'a6', gen: 6n, lifeSeconds: 3600 }
const SIBLING_WON = [['refresh', 'sibling_won', 0]]
const ALARM = { level: 'error', message: 'tokens are not stored yet; trying again' }

/** An attempt whose PERSIST finds that the generation has moved; what the row says then. */
async function movedTo(row: unknown) {
  const world = startLease()
  world.next.persist = [null]
  world.next.stored = [undefined, row]
  return { ...world, outcome: await world.run() }
}

describe('a rotated pair', () => {
  test('is written until the database has it, and each failure alarms with the grant', async () => {
    const { run, next, callsOf, lines } = startLease()
    const error = new Error('no connection')
    next.persist = [error, error]
    const attempt = run()
    await vi.advanceTimersByTimeAsync(1000)
    expect(await attempt).toMatchObject(FRESH)
    expect([callsOf('persist').length, callsOf('refresh').length]).toEqual([3, 1])
    const alarm = { ...ALARM, fields: { grant_id: GRANT, err: error } }
    expect(lines.filter(({ level }) => level === 'error')).toEqual([alarm, alarm])
  })

  test('is sealed until it can be: a data key may be out of reach for a while', async () => {
    const { run, cipher, lines } = startLease()
    const { sealPair } = cipher
    let failures = 0
    cipher.sealPair = async (...args) => {
      if (failures++ === 0) throw new Error('no connection')
      return await sealPair(...args)
    }
    const attempt = run()
    await vi.advanceTimersByTimeAsync(1000)
    expect([await attempt, failures]).toMatchObject([FRESH, 2])
    expect(lines).toMatchObject([ALARM, { level: 'info' }])
  })

  test('whose COMMIT succeeded although its answer was lost is known by its ciphertext, and lent', async () => {
    const row = rowStored({ gen: 6n, refreshCt: OURS, storedAtSeconds: 1500 })
    const { outcome, counted, callsOf } = await movedTo(row)
    expect(outcome).toEqual({ ...FRESH, expiresAtSeconds: 5100, storedAtSeconds: 1500 })
    expect([counted, callsOf('revoke')]).toEqual([[['refresh', 'ok', 0]], []])
  })

  test('that another one overtook is not stored over it, nor revoked, which would end both', async () => {
    const { outcome, counted, callsOf, namesOf } = await movedTo(
      rowStored({ gen: 6n, refreshCt: Buffer.from('theirs') }),
    )
    expect([outcome, counted]).toEqual([null, SIBLING_WON])
    expect([callsOf('persist').length, callsOf('revoke'), namesOf().includes('heal')]).toEqual([1, [], false])
  })

  test.each([
    ['is gone', null],
    ['was let go', rowStored({ status: 'disconnected', refreshCt: null })],
  ])('of a grant that %s is revoked: nobody would ever do it', async (_, row) => {
    const { outcome, counted, callsOf } = await movedTo(row)
    expect([outcome, counted]).toEqual([null, SIBLING_WON])
    expect(callsOf('revoke')).toEqual([[{ ...CREDENTIALS, accessToken: 'a6' }]])
  })

  test('of a grant that was let go without being revoked is not revoked either', async () => {
    const { outcome, callsOf } = await movedTo(
      rowStored({ status: 'disconnected', refreshCt: null, isKeptAtZoom: true }),
    )
    expect([outcome, callsOf('revoke')]).toEqual([null, []])
  })
})

describe('a database that went backwards while Zoom was asked', () => {
  const BEHIND = rowStored({ gen: 4n, storedAtSeconds: 50 })
  /** This process has seen the generation that it spent. */
  function start() {
    const world = startLease()
    world.watermarks.note(GRANT, { gen: 5n, storedAtSeconds: 100 })
    world.next.persist = [null, null]
    return world
  }

  test('gets the new pair put into the older row, under the consent that the row has, and it is lent', async () => {
    const { run, next, callsOf, counted } = start()
    next.stored = [undefined, BEHIND, rowStored({ gen: 6n, refreshCt: OURS, storedAtSeconds: 2000 })]
    expect(await run()).toMatchObject({ ...FRESH, storedAtSeconds: 2000 })
    const pair = { refreshCt: OURS, accessCt: sealedAs('access', 6n, 'a6'), expiresInSeconds: 3600 }
    expect(callsOf('heal')).toEqual([[GRANT, 4n, 6n, { ...pair, consentEpoch: 7, consentReason: 'later' }]])
    expect(counted).toEqual([
      ['backwards', 'healed'],
      ['refresh', 'ok', 0],
    ])
  })

  test.each([
    ['of the generation that was spent', rowStored({ storedAtSeconds: 50 }), 5n],
    ['of a later one, however much later ones were seen', rowStored({ gen: 6n, storedAtSeconds: 50 }), 8n],
    ['that was let go meanwhile', { ...BEHIND, status: 'disconnected', isKeptAtZoom: true }, 5n],
    ['of a later authorisation, which starts a history of its own', { ...BEHIND, storedAtSeconds: 101 }, 5n],
  ])('is not meant by a row %s', async (_, row, seenGen) => {
    const { run, next, callsOf, watermarks } = start()
    watermarks.note(GRANT, { gen: seenGen, storedAtSeconds: 100 })
    next.stored = [undefined, row]
    expect(await run()).toBeNull()
    expect([callsOf('heal'), callsOf('persist').length, callsOf('revoke')]).toEqual([[], 1, []])
  })
})

describe('a refresh token that Zoom takes no more', () => {
  const rejected = (reason: string, bare = false) => ({ outcome: 'rejected', reason, bare })
  const LIFE = 90 * 86_400
  const cases: [string, ReturnType<typeof rejected>, Partial<typeof LEASE>, boolean][] = [
    ['rotation_lost', rejected('invalid_grant', true), { recovering: true }, false],
    ['rotation_lost', rejected('superseded', true), { hadTwin: true }, false],
    ['rotation_lost', rejected('invalid_grant', true), { recovering: true, pairAgeSeconds: LIFE + 1 }, true],
    ['user_removed', rejected('user_removed'), { recovering: true, hadTwin: true }, false],
    ['expired', rejected('invalid_grant', true), { pairAgeSeconds: LIFE + 1 }, true],
    ['rejected_by_zoom', rejected('invalid_grant', true), { pairAgeSeconds: LIFE }, false],
    ['superseded', rejected('superseded', true), { pairAgeSeconds: LIFE + 1 }, false],
    ['restored_backup', rejected('invalid_grant', true), {}, true],
    ['restored_backup', rejected('superseded', true), {}, true],
    ['user_removed', rejected('user_removed'), {}, true],
    ['scopes_changed', rejected('scopes_changed'), {}, false],
    ['rejected_by_zoom', rejected('token_not_found'), {}, false],
  ]
  test.each(cases)(
    'makes the host reconnect because of %s: %j, %j, database became another one: %s',
    async (...told) => {
      const [reason, result, lease, isEarlier] = told
      const { run, next, callsOf, counted, lines } = startLease()
      next.refresh = [result]
      next.isEarlier = [isEarlier]
      await expect(run(lease)).rejects.toMatchObject({
        code: 'reconnect_required',
        reason,
        message: 'The host must connect Zoom again.',
      })
      const outcome = reason === 'rotation_lost' ? 'lost' : 'rejected'
      const { pairAgeSeconds } = { ...LEASE, ...lease }
      expect(callsOf('verdict')).toEqual([[GRANT, { ...LEASE, ...lease }, reason, outcome]])
      expect(counted).toEqual([
        ['refresh', outcome, 0],
        ['death', reason, pairAgeSeconds],
      ])
      const fields = { grant_id: GRANT, reason, pair_age_seconds: Math.round(pairAgeSeconds) }
      expect(lines.at(-1)).toEqual({ level: 'warn', fields, message: 'a grant must reconnect' })
    },
  )

  test('condemns nothing where somebody else holds the lease by now: what is stored is read again', async () => {
    const { run, next, counted, lines } = startLease()
    next.refresh = [rejected('invalid_grant', true)]
    next.verdict = [false]
    expect(await run()).toBeNull()
    expect([counted, lines.map(({ level }) => level)]).toEqual([SIBLING_WON, ['info']])
  })

  test('is judged once the database answers, each time with a warning and no alarm: nothing is lost meanwhile', async () => {
    const { run, next, callsOf, lines } = startLease()
    next.refresh = [rejected('invalid_grant', true)]
    next.isEarlier = [new Error('no connection')]
    next.verdict = [new Error('no connection')]
    const attempt = expect(run()).rejects.toMatchObject({ reason: 'rejected_by_zoom' })
    await vi.advanceTimersByTimeAsync(1000)
    await attempt
    expect([callsOf('isEarlier'), callsOf('verdict').length]).toEqual([[[GRANT], [GRANT]], 2])
    const waiting = { level: 'warn', message: 'a verdict on a grant is not stored yet; trying again' }
    const ended = [{ level: 'info' }, { level: 'warn', message: 'a grant must reconnect' }]
    expect(lines).toMatchObject([waiting, waiting, ...ended])
  })
})

test('a pair that the database refuses for ever is not written for ever', async () => {
  const { run, next, callsOf } = startLease()
  next.persist = [Object.assign(new Error('no such grant'), { code: '23503' }), STORED]
  await expect(run()).rejects.toThrow('no such grant')
  expect(callsOf('persist')).toHaveLength(1)
})
