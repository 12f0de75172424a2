import { describe, expect, test } from 'vitest'
import { KNOWN, newSecret, serving, startGuard, TENANT } from '../../helpers/bare-guard.ts'

const REFUSED = [401, 'unauthenticated']

/** A guard that has let one request of the tenant in already, and so knows pass and secret. */
async function startKnowing(more: Parameters<typeof startGuard>[0] = {}) {
  const world = await startGuard(more)
  const secret = newSecret()
  world.tenants.set(TENANT, serving([secret]))
  const pass = world.addPass()
  expect((await world.ask(pass.url, world.signed([secret])))[0]).toBe(200)
  world.opened.length = 0
  world.asked.passes = 0
  world.asked.secrets = []
  return { ...world, secret, pass }
}

describe('what a replica has read', () => {
  test('spares the next request the database, for 30 s as to secrets', async () => {
    const { ask, pass, secret, signed, asked, clock } = await startKnowing()
    clock.ms += 29_999
    expect((await ask(pass.url, signed([secret])))[0]).toBe(200)
    expect(asked).toEqual({ passes: 0, secrets: [] })
    clock.ms += 1
    expect((await ask(pass.url, signed([secret])))[0]).toBe(200)
    expect(asked).toEqual({ passes: 0, secrets: [TENANT] })
  })

  test('of one tenant serves no other', async () => {
    const { ask, addPass, secret, signed, asked } = await startKnowing()
    const theirs = addPass({ ...KNOWN, passId: 'theirs', tenantId: 'other' })
    expect(await ask(theirs.url, signed([secret]))).toEqual(REFUSED)
    expect(asked.secrets).toEqual(['other'])
  })

  test('of secrets is read again where a signature is not known, and the one that was added works at once', async () => {
    const { ask, pass, signed, tenants, asked, refused } = await startKnowing()
    const added = newSecret('added')
    tenants.set(TENANT, serving([added]))
    expect((await ask(pass.url, signed([added])))[0]).toBe(200)
    expect((await ask(pass.url, signed([added])))[0]).toBe(200)
    expect([asked.secrets, refused]).toEqual([[TENANT], []])
  })

  test('of secrets is not read again for a signature that held and is old: no new secret can mend that', async () => {
    const { ask, pass, secret, signed, asked, refused } = await startKnowing()
    expect(await ask(pass.url, signed([secret], { ageSeconds: 301 }))).toEqual(REFUSED)
    expect(asked.secrets).toEqual([])
    expect(refused).toEqual([['pass', 'join', 'timestamp_out_of_range', 'request']])
  })
})

describe('where the mint is not opened', () => {
  test.each([
    ['pass_unknown', null],
    ['pass_revoked', { ...KNOWN, revokedAt: new Date(0) }],
    ['pass_revoked', { ...KNOWN, revokedAt: new Date(0), isExpired: true }],
    ['pass_expired', { ...KNOWN, isExpired: true }],
  ])('since the pass went, that is the reason told: %s', async (reason, now) => {
    const { ask, pass, secret, signed, openings, opened, refused, asked } = await startKnowing()
    pass.change(now)
    openings.push(null)
    expect(await ask(pass.url, signed([secret]))).toEqual(REFUSED)
    expect(refused).toEqual([['pass', 'join', reason, 'request']])
    expect([opened.length, asked]).toEqual([1, { passes: 1, secrets: [] }])
  })

  test('since the secret went, the one that came with it opens it', async () => {
    const { ask, pass, secret, signed, openings, opened, tenants } = await startKnowing()
    const next = newSecret('next')
    tenants.set(TENANT, serving([next]))
    openings.push(null)
    expect(await ask(pass.url, signed([secret, next]))).toEqual([200, { mint: 2 }])
    expect(opened).toMatchObject([{ secretId: 'secret' }, { secretId: 'next' }])
  })

  test('since the secret went and none came, nothing is', async () => {
    const { ask, pass, secret, signed, openings, opened, refused, tenants } = await startKnowing()
    tenants.set(TENANT, serving([newSecret('next')]))
    openings.push(null)
    expect(await ask(pass.url, signed([secret]))).toEqual(REFUSED)
    expect([opened.length, refused]).toEqual([1, [['pass', 'join', 'signature_mismatch', 'request']]])
  })

  test('twice, it is refused: a secret that holds here and not in the database lets nobody in', async () => {
    const { ask, pass, secret, signed, openings, opened, refused } = await startKnowing()
    openings.push(null, null)
    expect(await ask(pass.url, signed([secret]))).toEqual(REFUSED)
    expect([opened.length, refused]).toEqual([2, [['pass', 'join', 'signature_mismatch', 'request']]])
  })
})

describe('a tenant that observes', () => {
  const startObserving = async () => {
    const world = await startKnowing()
    world.tenants.set(TENANT, serving([world.secret], { isObserving: true }))
    return world
  }

  test('lets an unsigned request with a pass through, bound to no id, and a warning names the pass', async () => {
    const { ask, pass, opened, warnings, refused } = await startObserving()
    expect(await ask(pass.url)).toEqual([200, { mint: 1 }])
    expect(opened).toMatchObject([{ passId: 'pass', webhookId: null, secretId: null, kind: 'join' }])
    expect(warnings).toMatchObject([
      { pass_id: 'pass', msg: 'an unsigned request was let through: signature_mode observe' },
    ])
    expect(refused).toEqual([])
  })

  test('has its signed requests served as any other’s, without a warning', async () => {
    const { ask, pass, secret, signed, opened, warnings } = await startObserving()
    expect((await ask(pass.url, signed([secret])))[0]).toBe(200)
    expect([opened, warnings]).toMatchObject([[{ webhookId: 'msg_1', secretId: 'secret' }], []])
  })

  test('refuses what carries any part of a signature that does not hold', async () => {
    const { ask, pass, secret, signed, opened, refused } = await startObserving()
    const old = signed([secret], { ageSeconds: 301 })
    for (const headers of [signed([newSecret()]), old, { 'svix-id': 'x' }])
      expect(await ask(pass.url, headers)).toEqual(REFUSED)
    expect([opened, refused.length]).toEqual([[], 3])
  })
})

describe('a callback URL without a pass', () => {
  const startPlain = async (plainTenantId: string | null = TENANT) => {
    const world = await startKnowing({ plainTenantId })
    return { ...world, url: '/join?meeting_id=123' }
  }

  test('opens a mint of the one tenant that plain URLs act for, for join and OBF', async () => {
    const { ask, secret, signed, opened, asked } = await startPlain()
    expect(await ask('/join?meeting_id=123', signed([secret], { id: 'msg_a' }))).toEqual([200, { mint: 1 }])
    expect(await ask('/obf?meeting_id=45', signed([secret], { id: 'msg_b' }))).toEqual([200, { mint: 2 }])
    const common = { with: 'meeting', tenantId: TENANT, secretId: 'secret', requestId: 'request' }
    expect(opened).toEqual([
      { ...common, meetingId: '123', kind: 'join', webhookId: 'msg_a' },
      { ...common, meetingId: '45', kind: 'obf', webhookId: 'msg_b' },
    ])
    expect(asked).toEqual({ passes: 0, secrets: [] })
  })

  test.each(['/zak?meeting_id=123', '/access?meeting_id=123', '/join', '/obf'])('is refused: %s', async (url) => {
    const { ask, secret, signed, opened, noted } = await startPlain()
    expect(await ask(url, signed([secret]))).toEqual(REFUSED)
    expect([opened, noted]).toMatchObject([[], [{ action: 'auth.bot_pass_missing' }]])
  })

  test('is refused where they are off', async () => {
    const { ask, secret, signed, url, opened, noted } = await startPlain(null)
    expect(await ask(url, signed([secret]))).toEqual(REFUSED)
    expect([opened, noted]).toMatchObject([[], [{ action: 'auth.bot_pass_missing' }]])
  })

  test('is refused without a signature that holds, also where the tenant observes', async () => {
    const { ask, secret, signed, url, opened, noted, tenants, clock } = await startPlain()
    tenants.set(TENANT, serving([secret], { isObserving: true }))
    clock.ms += 30_000
    for (const headers of [{}, signed([newSecret()]), signed([secret], { ageSeconds: 301 })])
      expect(await ask(url, headers)).toEqual(REFUSED)
    const reasons = ['signature_missing', 'signature_mismatch', 'timestamp_out_of_range']
    expect([opened, noted]).toMatchObject([[], reasons.map((reason) => ({ action: `auth.bot_${reason}` }))])
  })

  test('whose secret went is opened with the one that came, and refused where none did or that one is not known', async () => {
    const { ask, secret, signed, url, openings, opened, noted, tenants } = await startPlain()
    const next = newSecret('next')
    tenants.set(TENANT, serving([next]))
    openings.push(null)
    expect(await ask(url, signed([secret, next]))).toEqual([200, { mint: 2 }])
    expect(opened).toMatchObject([{ secretId: 'secret' }, { secretId: 'next' }])
    openings.push(null, null)
    expect(await ask(url, signed([next]))).toEqual(REFUSED)
    expect([opened.length, noted]).toMatchObject([4, [{ action: 'auth.bot_signature_mismatch' }]])
  })

  test('with a pass beside it is the pass’s', async () => {
    const { ask, pass, secret, signed, opened } = await startPlain()
    expect((await ask(`${pass.url}&meeting_id=123`, signed([secret])))[0]).toBe(200)
    expect(await ask('/join?pass=x&meeting_id=123', signed([secret]))).toEqual(REFUSED)
    expect(opened).toMatchObject([{ with: 'pass' }])
  })
})
