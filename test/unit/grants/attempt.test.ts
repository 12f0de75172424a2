import { describe, expect, test } from 'vitest'
import { SealError } from '../../../src/lib/sealing.ts'
import type { RefreshOutcome } from '../../../src/zoom/oauth.ts'
import { CREDENTIALS, GRANT, LEASE, ROTATED, startLease, TOKENS } from '../../helpers/bare-lease.ts'

const ENDED = 'a refresh ended'
const endedAs = (outcome: string, more: object = {}) => ({
  level: 'info',
  fields: { grant_id: GRANT, attempt_id: 'attempt', gen: 5, outcome, duration_ms: 0, ...more },
  message: ENDED,
})

describe('a refresh token that Zoom rotates', () => {
  test('is presented once, with the app’s credentials and 8 s, after the write of its successor was made ready', async () => {
    const { run, namesOf, callsOf } = startLease()
    await run()
    expect(namesOf()).toEqual(['stored', 'prepare', 'refresh', 'appPauses', 'persist'])
    expect(callsOf('refresh')).toEqual([[{ ...CREDENTIALS, refreshToken: 'r5', timeoutMs: 8000 }]])
    expect(callsOf('appPauses')).toEqual([['app', 'taken']])
  })

  test('is followed by its successor, stored under the lease as the next generation, and lent by the database’s clock', async () => {
    const { run, callsOf } = startLease()
    const fresh = { accessToken: 'a6', gen: 6n, lifeSeconds: 3600, expiresAtSeconds: 4600, storedAtSeconds: 1000 }
    expect(await run()).toEqual(fresh)
    const [[grantId, lease, pair, scopes]] = callsOf('persist') as [unknown[]]
    expect([grantId, lease, scopes]).toEqual([GRANT, LEASE, ['scope']])
    const { refreshCt, accessCt, expiresInSeconds } = pair as Record<string, unknown>
    expect([refreshCt, accessCt].map(String)).toEqual(['grant/refresh/6/r6', 'grant/access/6/a6'])
    expect(expiresInSeconds).toBe(3600)
  })

  test('leaves one line and one count, with the time it took and when the database stored it', async () => {
    const { run, lines, counted, clock, next } = startLease()
    next.refresh = [
      () => {
        clock.ms += 1234.4
        return ROTATED
      },
    ]
    await run()
    expect(lines).toEqual([endedAs('ok', { duration_ms: 1234, stored_at: '1970-01-01T00:16:40.000Z' })])
    expect(counted).toEqual([['refresh', 'ok', 1234]])
  })

  test('is remembered: its generation, its pair under the consent it was stored with, and the life that Zoom gives', async () => {
    const { run, next, watermarks, life } = startLease()
    next.refresh = [{ ...ROTATED, tokens: { ...TOKENS, expiresInSeconds: 80 } }]
    await run()
    expect(watermarks.seenBeyond(GRANT, { gen: 5n, storedAtSeconds: 1000 })).toBe(6n)
    expect(watermarks.seenBeyond(GRANT, { gen: 5n, storedAtSeconds: 1001 })).toBeNull()
    expect(watermarks.pairOf(GRANT, 6n)).toMatchObject({ consentEpoch: 3, consentReason: 'why', expiresInSeconds: 80 })
    expect(life.leastSeconds()).toBe(40)
  })
})

const jwtOf = (uid: string) => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part({ uid, aid: 'account' })}.sig`
}

describe('a rotation that brings an access token', () => {
  const rotatedTo = (accessToken: string) => ({ outcome: 'rotated', tokens: { ...TOKENS, accessToken } })
  const presented = (token: string) => ({ refreshCt: Buffer.from(`grant/refresh/5/${token}`) })

  test('of another user stores nothing, leaves the lease, and alarms', async () => {
    const { run, next, namesOf, lines, counted } = startLease()
    next.refresh = [rotatedTo(jwtOf('other'))]
    await expect(run(presented(jwtOf('user')))).rejects.toMatchObject({ code: 'zoom_unavailable', reason: 'ambiguous' })
    expect(namesOf()).toEqual(['stored', 'prepare', 'refresh', 'appPauses', 'noteAmbiguous'])
    const message = 'Zoom answered a refresh with a pair that cannot be used'
    expect(lines.at(-1)).toEqual({ level: 'error', fields: { grant_id: GRANT, why: 'another_user' }, message })
    expect(counted).toEqual([['refresh', 'ambiguous', 0]])
  })

  test.each([
    ['the same user', jwtOf('user'), jwtOf('user')],
    ['nobody that can be read', jwtOf('user'), 'opaque'],
    ['anybody, for a token that cannot be read', 'opaque', jwtOf('user')],
  ])('of %s is stored', async (_, before, after) => {
    const { run, next } = startLease()
    next.refresh = [rotatedTo(after)]
    expect(await run(presented(before))).toMatchObject({ accessToken: after, gen: 6n })
  })
})

describe('an answer that spent nothing gives the lease back and says what to do:', () => {
  const PAUSE = { seconds: 5, code: 'zoom_unavailable' }
  test.each<[RefreshOutcome, object | null, object]>([
    [{ outcome: 'app_fault' }, null, { code: 'app_misconfigured', retryAfterSeconds: 2 }],
    [
      { outcome: 'blocked' },
      null,
      { code: 'host_blocked', reason: 'admin_disabled', message: expect.stringContaining('ask their Zoom admin') },
    ],
    [
      { outcome: 'rate_limited', retryAfterSeconds: 7 },
      { seconds: 7, code: 'zoom_rate_limited' },
      { code: 'zoom_rate_limited', retryAfterSeconds: 7, message: 'Zoom limits our requests; try again later.' },
    ],
    [{ outcome: 'rate_limited', retryAfterSeconds: 0 }, null, { code: 'zoom_rate_limited', retryAfterSeconds: 0 }],
    [
      { outcome: 'refused', status: 418 },
      PAUSE,
      {
        code: 'zoom_unavailable',
        reason: 'refused',
        retryAfterSeconds: 5,
        message: 'Zoom did not renew the access token; try again.',
      },
    ],
  ])('%j', async (outcome, pause, error) => {
    const { run, next, callsOf, counted, lines } = startLease()
    next.refresh = [outcome]
    await expect(run()).rejects.toMatchObject(error)
    expect(callsOf('release')).toEqual([[GRANT, LEASE, pause]])
    expect(callsOf('refresh')).toHaveLength(1)
    expect(counted).toEqual([['refresh', 'retryable', 0]])
    expect(lines).toContainEqual(endedAs('retryable'))
    expect(callsOf('block')).toEqual(outcome.outcome === 'blocked' ? [[GRANT, 'admin_disabled']] : [])
  })

  test('an app that Zoom refuses is written down and told once', async () => {
    const { run, next, callsOf, lines } = startLease()
    next.refresh = [{ outcome: 'app_fault' }, { outcome: 'app_fault' }]
    for (let time = 0; time < 2; time++) await expect(run()).rejects.toMatchObject({ code: 'app_misconfigured' })
    expect(callsOf('appPauses')).toEqual(Array(2).fill(['app', 'refused']))
    const alarms = lines.filter(({ level }) => level === 'error')
    expect(alarms).toMatchObject([{ fields: { zoom_app_id: 'app' } }])
  })

  test('a refusal that nobody knows is told with its status', async () => {
    const { run, next, lines } = startLease()
    next.refresh = [{ outcome: 'refused', status: 418 }]
    await expect(run()).rejects.toThrow()
    const message = 'Zoom refused a refresh in a way we do not know'
    expect(lines).toContainEqual({ level: 'error', fields: { grant_id: GRANT, status: 418 }, message })
  })
})

describe('a request that never left', () => {
  test('is sent once more at once', async () => {
    const { run, next, callsOf, counted } = startLease()
    next.refresh = [{ outcome: 'not_sent' }]
    expect(await run()).toMatchObject({ gen: 6n })
    expect([callsOf('refresh').length, callsOf('release'), counted]).toEqual([2, [], [['refresh', 'ok', 0]]])
  })

  test('twice gives the lease back without a pause', async () => {
    const { run, next, callsOf } = startLease()
    next.refresh = [{ outcome: 'not_sent' }, { outcome: 'not_sent' }]
    await expect(run()).rejects.toMatchObject({ code: 'zoom_unavailable', reason: 'not_sent', retryAfterSeconds: 5 })
    expect([callsOf('refresh').length, callsOf('release')]).toEqual([2, [[GRANT, LEASE, null]]])
  })
})

describe('an answer behind which Zoom may have rotated keeps the lease, and with it everybody else away:', () => {
  test('the third in a row pauses this grant, and no other', async () => {
    const { run, next, breakers } = startLease()
    next.refresh = Array(3).fill({ outcome: 'ambiguous', why: 'reset' })
    for (let time = 0; time < 2; time++) await expect(run()).rejects.toThrow()
    expect(() => breakers.grant.check(GRANT)).not.toThrow()
    await expect(run()).rejects.toThrow()
    expect(() => breakers.grant.check(GRANT)).toThrow()
    expect(() => breakers.grant.check('another')).not.toThrow()
  })

  test('5xx, for as long as the shortened lease', async () => {
    const { run, next, namesOf, callsOf, counted } = startLease()
    next.refresh = [{ outcome: 'server_error', status: 503 }]
    await expect(run()).rejects.toMatchObject({ code: 'zoom_unavailable', reason: 'server_error' })
    expect(callsOf('shortenLease')).toEqual([[GRANT, LEASE]])
    expect(namesOf()).not.toContain('release')
    expect(counted).toEqual([['refresh', 'retryable', 0]])
  })

  const TIMED_OUT = {
    code: 'zoom_timeout',
    reason: 'refresh',
    retryAfterSeconds: 5,
    message: 'Zoom did not answer in time; try again.',
  }
  const UNKNOWN = { code: 'zoom_unavailable', reason: 'ambiguous', retryAfterSeconds: 5 }
  test.each([
    ['timeout', TIMED_OUT, 'warn', 'the outcome of a refresh is unknown; a later attempt settles it'],
    ['reset', UNKNOWN, 'warn', 'the outcome of a refresh is unknown; a later attempt settles it'],
    ['no_usable_token_pair', UNKNOWN, 'error', 'Zoom answered a refresh with a pair that cannot be used'],
  ])('%s', async (why, error, level, message) => {
    const { run, next, namesOf, callsOf, counted, lines } = startLease()
    next.refresh = [{ outcome: 'ambiguous', why }]
    await expect(run()).rejects.toMatchObject(error)
    expect(callsOf('noteAmbiguous')).toEqual([[GRANT, LEASE]])
    expect(namesOf()).not.toContain('release')
    expect(counted).toEqual([['refresh', 'ambiguous', 0]])
    expect(lines).toEqual([endedAs('ambiguous'), { level, fields: { grant_id: GRANT, why }, message }])
  })
})

describe('nothing is sent', () => {
  test('by a process that slept: after 32 s of its lease the answer could come too late, and the lease is given back', async () => {
    const { run, callsOf, counted } = startLease()
    expect(await run({}, 32_001)).toBeNull()
    expect([callsOf('refresh'), callsOf('release'), counted]).toEqual([[], [[GRANT, LEASE, null]], []])
    expect(await run({}, 32_000)).toMatchObject({ gen: 6n })
  })

  test('a second time by one that slept after the first', async () => {
    const { run, next, clock, callsOf } = startLease()
    next.refresh = [
      () => {
        clock.ms += 32_001
        return { outcome: 'not_sent' }
      },
    ]
    expect(await run()).toBeNull()
    expect([callsOf('refresh').length, callsOf('release')]).toEqual([1, [[GRANT, LEASE, null]]])
  })

  test('where the refresh token does not open, and the lease is given back', async () => {
    const { run, callsOf } = startLease()
    const refreshCt = Buffer.from('damaged')
    await expect(run({ refreshCt })).rejects.toThrow(SealError)
    expect([callsOf('refresh'), callsOf('release')]).toEqual([[], [[GRANT, { ...LEASE, refreshCt }, null]]])
  })

  test('where the next pair could not be sealed, and the lease is given back', async () => {
    const { run, cipher, callsOf } = startLease()
    cipher.prepare = () => Promise.reject(new SealError('no key'))
    await expect(run()).rejects.toThrow('no key')
    expect([callsOf('refresh'), callsOf('release')]).toEqual([[], [[GRANT, LEASE, null]]])
  })
})

test('a database that does not answer beforehand does not stop the refresh: it may answer when there is a pair to store', async () => {
  const { run, next } = startLease()
  next.stored = [new Error('no connection')]
  expect(await run()).toMatchObject({ gen: 6n })
})
