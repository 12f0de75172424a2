import { describe, expect, test } from 'vitest'
import type { GrantRow } from '../../../src/grants/store.ts'
import { CREDENTIALS, GRANT, LIVING, RENEWED, ROW, rowWith, startReading } from '../../helpers/bare-lease.ts'

const LENT = { accessToken: 'a5', gen: 5n, lifeSeconds: 3000, expiresAtSeconds: 3500 }

describe('a stored access token', () => {
  test('is lent while it lives, without a lease', async () => {
    const { refresher, namesOf } = startReading([LIVING])
    expect([await refresher.run(GRANT), await refresher.living(GRANT)]).toEqual([LENT, LENT])
    expect(namesOf()).toEqual(['read', 'read'])
  })

  test('is lent down to 60 s, or down to what its borrower needs', async () => {
    const { refresher } = startReading([rowWith({ accessLifeSeconds: 60 })])
    expect(await refresher.living(GRANT)).toMatchObject({ lifeSeconds: 60 })
    expect(await refresher.run(GRANT)).toMatchObject({ gen: 5n })
    expect(await refresher.run(GRANT, 61)).toMatchObject({ gen: 6n })
    expect(await startReading([rowWith({ accessLifeSeconds: 59.9 })]).refresher.living(GRANT)).toBeNull()
  })

  test.each([
    ['erased', rowWith({ accessCt: null, accessLifeSeconds: 3000 })],
    ['of unknown life', rowWith({ accessLifeSeconds: null })],
  ])('that is %s is not lent', async (_, row) => {
    expect(await startReading([row]).refresher.living(GRANT)).toBeNull()
  })

  test('whose end is not known is said to have ended, rather than to live for ever', async () => {
    const { refresher } = startReading([rowWith({ accessLifeSeconds: 3000, accessExpiresAtSeconds: null })])
    expect(await refresher.living(GRANT)).toMatchObject({ expiresAtSeconds: 0 })
  })

  test('is found to be revoked whatever the state of its grant, to the last second of its life', async () => {
    const remains = (row: GrantRow | null) => startReading([row]).refresher.remains(GRANT)
    expect(await remains(rowWith({ status: 'disconnected', accessLifeSeconds: 1 }))).toBe('a5')
    expect(await remains(rowWith({ accessLifeSeconds: 0.9 }))).toBeNull()
    expect(await remains(null)).toBeNull()
  })
})

describe('a grant that cannot be used says why, and nothing is sent:', () => {
  const CASES: [string, GrantRow | null, object][] = [
    ['gone', null, { code: 'host_not_connected', message: 'No host is connected here any more.' }],
    ['disconnected', rowWith({ status: 'disconnected', blockedReason: 'x' }), { code: 'host_not_connected' }],
    ['blocked', rowWith({ blockedReason: 'user_deactivated' }), { code: 'host_blocked', reason: 'user_deactivated' }],
    [
      'to be connected again',
      rowWith({ status: 'reconnect_required', statusReason: 'expired' }),
      { code: 'reconnect_required', reason: 'expired', message: 'The host must connect Zoom again.' },
    ],
    [
      'to be connected again for no reason that was kept',
      rowWith({ status: 'reconnect_required' }),
      { code: 'reconnect_required', reason: 'rejected_by_zoom' },
    ],
  ]
  test.each(CASES)('%s', async (_, row, error) => {
    const { refresher, namesOf } = startReading([row])
    await expect(refresher.living(GRANT)).rejects.toMatchObject(error)
    await expect(refresher.run(GRANT)).rejects.toMatchObject(error)
    expect(namesOf()).toEqual(['read', 'read'])
  })
})

describe('an access token that has ended', () => {
  test('is renewed under a lease of this process and of the generation that was read', async () => {
    const { refresher, callsOf, counted } = startReading([ROW])
    expect(await refresher.run(GRANT)).toMatchObject({ accessToken: 'a6', gen: 6n, lifeSeconds: 3600 })
    const attemptId = expect.stringMatching(/^[0-9a-f-]{36}$/)
    expect(callsOf('acquire')).toEqual([[GRANT, 5n, 'owner', attemptId]])
    expect(callsOf('refresh')).toMatchObject([[{ ...CREDENTIALS, refreshToken: 'r5' }]])
    expect(counted).toEqual([['refresh', 'ok', 0]])
  })

  test('is renewed once for all who ask at the same time; beyond 2,000 of them, they are told to come again', async () => {
    const { refresher, callsOf } = startReading([ROW])
    const asked = Array.from({ length: 2001 }, () => refresher.run(GRANT).catch(({ code }) => code))
    const answers = await Promise.all(asked)
    expect(answers.filter((answer) => answer === 'busy')).toHaveLength(1)
    expect([callsOf('acquire').length, callsOf('read').length]).toEqual([1, 1])
  })

  test('is read once for all who ask at the same time whether it lives; beyond 2,000 likewise', async () => {
    const { refresher, callsOf } = startReading([LIVING])
    const answers = await Promise.all(
      Array.from({ length: 2001 }, () => refresher.living(GRANT).catch(({ code }) => code)),
    )
    expect([answers.filter((answer) => answer === 'busy').length, callsOf('read').length]).toEqual([1, 1])
  })

  test('is read again where the lease went to another, who may have renewed it', async () => {
    const { refresher, next, callsOf } = startReading([ROW, RENEWED])
    next.acquire = [null]
    expect(await refresher.run(GRANT)).toMatchObject({ accessToken: 'a6', lifeSeconds: 3599 })
    expect(callsOf('refresh')).toEqual([])
  })

  test('is read again where the attempt found that somebody else moved on', async () => {
    const { refresher, next, callsOf } = startReading([ROW, RENEWED])
    next.refresh = [{ outcome: 'rejected', reason: 'invalid_grant', bare: true }]
    next.verdict = [false]
    expect(await refresher.run(GRANT)).toMatchObject({ accessToken: 'a6', lifeSeconds: 3599 })
    expect(callsOf('refresh')).toHaveLength(1)
  })

  test('is not renewed on a database of another installation; one that lives is lent', async () => {
    const isForeign = () => true
    const { refresher, namesOf } = startReading([ROW], { isForeign })
    await expect(refresher.run(GRANT)).rejects.toMatchObject({ code: 'foreign_database' })
    expect(namesOf()).toEqual(['read'])
    expect(await startReading([LIVING], { isForeign }).refresher.run(GRANT)).toEqual(LENT)
  })
})

describe('no lease is taken', () => {
  const MENDED = { code: 'app_misconfigured', message: 'The secret of this Zoom app is not configured any more.' }
  test.each([
    ['no app', null],
    ['an app without a secret', { ...CREDENTIALS, clientSecrets: [] }],
  ])('with %s, nor is the probe of a paused endpoint spent on it', async (_, credentials) => {
    const { refresher, callsOf, breakers, clock } = startReading([ROW], { credentialsOf: async () => credentials })
    for (let time = 0; time < 50; time++) breakers.endpoint.noteFailure(`g${time}`)
    clock.ms += 2000
    await expect(refresher.run(GRANT)).rejects.toMatchObject(MENDED)
    expect(callsOf('acquire')).toEqual([])
    expect(breakers.endpoint.check).not.toThrow()
  })

  test.each<[string, (world: ReturnType<typeof startReading>) => void, string]>([
    [
      'of a grant whose refreshes failed too often',
      ({ breakers }) => {
        for (let time = 0; time < 3; time++) breakers.grant.noteFailure(GRANT)
      },
      'zoom_unavailable',
    ],
    ['of an app that Zoom refuses', ({ breakers }) => void breakers.app.trip('app'), 'app_misconfigured'],
    [
      'while the token endpoint is down',
      ({ breakers }) => {
        for (let time = 0; time < 50; time++) breakers.endpoint.noteFailure(`g${time}`)
      },
      'zoom_unavailable',
    ],
  ])('%s', async (_, pause, code) => {
    const world = startReading([ROW])
    pause(world)
    await expect(world.refresher.run(GRANT)).rejects.toMatchObject({ code })
    expect(world.callsOf('acquire')).toEqual([])
  })

  test.each([
    ['pause:zoom_rate_limited', 7.2, { code: 'zoom_rate_limited', retryAfterSeconds: 8 }],
    ['pause:zoom_rate_limited', 0.1, { code: 'zoom_rate_limited', retryAfterSeconds: 1 }],
    [
      'pause:zoom_unavailable',
      4.5,
      {
        code: 'zoom_unavailable',
        reason: 'paused',
        retryAfterSeconds: 5,
        message: 'Zoom did not renew the access token; try again.',
      },
    ],
  ])('during a pause that any replica left on the row (%s, %d s): its rest is told', async (owner, seconds, error) => {
    const { refresher, namesOf } = startReading([rowWith({ leaseOwner: owner, leaseLeftSeconds: seconds })])
    await expect(refresher.run(GRANT)).rejects.toMatchObject(error)
    expect(namesOf()).toEqual(['read'])
  })
})
