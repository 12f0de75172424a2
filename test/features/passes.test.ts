import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../src/lib/ids.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenantWithKey, outcomeOf, seedHost } from '../helpers/management.ts'

const HOUR_MS = 3600 * 1000
const DAY_MS = 24 * HOUR_MS
const MEETING = '85996249517'
let t: TestApp

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())

async function newTenant() {
  const tenant = await newTenantWithKey(t)
  const create = async (body: Record<string, unknown> = {}) =>
    await tenant.call('POST', '/v1/passes', { meeting: MEETING, ...body })
  return { ...tenant, create, host: await seedHost(t, tenant.id, 'alice') }
}
const inMs = (milliseconds: number) => new Date(Date.now() + milliseconds).toISOString()
const secretOf = (url: string) => String(new URL(url).searchParams.get('pass'))

describe('a new pass', () => {
  test('answers URLs of 256 random bits, ready to merge into Recall’s Create Bot body, and stores only their hash', async () => {
    const { create, host } = await newTenant()
    const created = await create({ host: { host_id: host.id }, kinds: ['zak', 'obf', 'join'] })
    expect(created.statusCode).toBe(201)
    const pass = created.json()
    const secret = secretOf(pass.join_token_url)
    const url = (kind: string) => `http://localhost:4000/zoom/${kind}-token?pass=${secret}`
    expect(secret).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(pass).toMatchObject({
      meeting_id: MEETING,
      kinds: ['join', 'obf', 'zak'],
      join_token_url: url('join'),
      obf_token_url: url('obf'),
      zak_token_url: url('zak'),
      recall: {
        zoom: { join_token_url: url('join'), obf_token_url: url('obf'), zak_url: url('zak') },
        metadata: { latchkey_pass_id: pass.id },
      },
      host: { id: host.id, external_user_id: 'alice', status: 'connected' },
      on_behalf_of: [],
      join_at: null,
      metadata: {},
    })
    const { rows } = await t.admin.query('SELECT * FROM passes WHERE id = $1', [pass.id])
    expect(Buffer.from(rows[0].secret_hash)).toEqual(sha256(secret))
    expect(t.log.join('')).not.toContain(secret)
  })

  test('is for join and OBF unless told otherwise, and has no URL of another kind', async () => {
    const { create } = await newTenant()
    const both = (await create()).json()
    expect([both.kinds, 'zak_token_url' in both]).toEqual([['join', 'obf'], false])
    const alone = (await create({ kinds: ['zak'] })).json()
    expect(alone.recall.zoom).toEqual({ zak_url: alone.zak_token_url })
  })

  test('maps its meeting to the host it names, also one who has not connected yet', async () => {
    const { create, call, host } = await newTenant()
    await create({ meeting: '111111111', host: { external_user_id: 'alice' } })
    expect((await call('GET', '/v1/meetings/111111111')).json()).toMatchObject({ host_id: host.id, source: 'api' })
    expect((await create({ meeting: '111111112', host: { external_user_id: 'later' } })).json().host).toBeNull()
    const mapping = (await call('GET', '/v1/meetings/111111112')).json()
    expect(mapping).toMatchObject({ host_id: null, external_user_id: 'later' })
  })

  test('takes whom to act on behalf of as one or as up to five, connected or not', async () => {
    const { create, host } = await newTenant()
    const alice = { id: host.id, external_user_id: 'alice', status: 'connected' }
    const later = { id: null, external_user_id: 'later', status: null }
    expect((await create({ on_behalf_of: { host_id: host.id } })).json().on_behalf_of).toEqual([alice])
    const several = [{ external_user_id: 'later' }, { external_user_id: 'alice' }, { host_id: host.id }]
    expect((await create({ on_behalf_of: several })).json().on_behalf_of).toEqual([later, alice])
    for (const on_behalf_of of [[], Array(6).fill({ external_user_id: 'alice' }), [{}], 'alice'])
      expect(outcomeOf(await create({ on_behalf_of }))).toEqual([400, 'invalid_request'])
  })

  test('refuses host ids that the tenant does not have', async () => {
    const { create } = await newTenant()
    const unknown = { host_id: crypto.randomUUID() }
    expect(outcomeOf(await create({ host: unknown }))).toEqual([404, 'not_found'])
    expect(outcomeOf(await create({ on_behalf_of: [unknown] }))).toEqual([404, 'not_found'])
  })

  test('reads a meeting as people paste it and never keeps its password', async () => {
    const { create } = await newTenant()
    const pasted = ['859 9624 9517', '859-9624-9517', `https://acme.zoom.us/j/${MEETING}?pwd=hidden-password`]
    for (const meeting of pasted) expect((await create({ meeting })).json().meeting_id).toBe(MEETING)
    for (const meeting of [
      '12345678',
      'https://zoom.us/my/room',
      'https://zoom.us.evil.example/j/1234567890',
      '',
      'a\u0000',
    ])
      expect(outcomeOf(await create({ meeting }))).toEqual([400, 'invalid_request'])
    const { rows } = await t.admin.query("SELECT * FROM passes WHERE passes::text LIKE '%hidden%'")
    expect([rows, t.log.join('').includes('hidden-password')]).toEqual([[], false])
  })
})

describe('the end of a pass', () => {
  const expiry = async (
    create: (body: Record<string, unknown>) => ReturnType<TestApp['api']>,
    body: Record<string, unknown>,
  ) => Date.parse((await create(body)).json().expires_at)

  test('is 24 hours after the bot joins, else 30 days from now, else as asked', async () => {
    const { create } = await newTenant()
    const joinAt = inMs(7 * DAY_MS)
    expect(await expiry(create, { join_at: joinAt })).toBe(Date.parse(joinAt) + DAY_MS)
    expect(Math.abs((await expiry(create, {})) - Date.now() - 30 * DAY_MS)).toBeLessThan(HOUR_MS)
    const asked = inMs(HOUR_MS)
    expect(await expiry(create, { join_at: joinAt, expires_at: asked })).toBe(Date.parse(asked))
  })

  test('lies in the future and within 400 days', async () => {
    const { create } = await newTenant()
    expect((await create({ expires_at: inMs(400 * DAY_MS - HOUR_MS) })).statusCode).toBe(201)
    const bad = [
      { expires_at: inMs(-1000) },
      { expires_at: inMs(400 * DAY_MS + HOUR_MS) },
      { join_at: inMs(-2 * DAY_MS) },
      { expires_at: '2030-01-01' },
      { expires_at: 1893456000 },
      { join_at: 'tomorrow' },
    ]
    for (const body of bad) expect(outcomeOf(await create(body))).toEqual([400, 'invalid_request'])
  })
})

test('metadata is up to 20 pairs of strings of 500 characters, given back as it came', async () => {
  const { create, call } = await newTenant()
  const pairs = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`key-${index}`, 'x']))
  const full = { ...pairs(19), ['k'.repeat(500)]: '💚'.repeat(250) }
  const created = await create({ metadata: full })
  expect([created.statusCode, created.json().metadata]).toEqual([201, full])
  expect((await call('GET', `/v1/passes/${created.json().id}`)).json().metadata).toEqual(full)
  const bad = [pairs(21), { a: 'x'.repeat(501) }, { a: 1 }, { a: null }, { a: { b: 'c' } }, [], 'x', { a: 'b\u0000' }]
  for (const metadata of [...bad, { a: '\ud800' }, { '': 'x' }])
    expect(outcomeOf(await create({ metadata }))).toEqual([400, 'invalid_request'])
})

describe('a pass that exists', () => {
  test('is shown without its URLs, alone and in the list by meeting', async () => {
    const { create, call, host } = await newTenant()
    const created = (await create({ host: { host_id: host.id } })).json()
    await create({ meeting: '111111111' })
    const shown = await call('GET', `/v1/passes/${created.id}`)
    const list = await call('GET', `/v1/passes?meeting_id=${MEETING}`)
    const { join_token_url, obf_token_url, recall, warnings, ...rest } = created
    expect([shown.json(), list.json()]).toEqual([rest, { data: [rest], next_cursor: null }])
    for (const { body } of [shown, list]) expect(body).not.toContain(secretOf(join_token_url))
    expect((await call('GET', '/v1/passes')).json().data).toHaveLength(2)
  })

  test('keeps its URLs when meeting and times change, and never ends before a bot that comes later', async () => {
    const { create, call } = await newTenant()
    const created = (await create({ expires_at: inMs(HOUR_MS) })).json()
    const joinAt = inMs(10 * DAY_MS)
    const url = `/v1/passes/${created.id}`
    const changed = (await call('PATCH', url, { meeting: '222 222 222', join_at: joinAt })).json()
    expect(changed).toMatchObject({ id: created.id, meeting_id: '222222222', join_at: joinAt })
    expect(Date.parse(changed.expires_at)).toBe(Date.parse(joinAt) + DAY_MS)
    const found = await t.services.passes.resolvePass(sha256(secretOf(created.join_token_url)))
    expect(found).toMatchObject({ passId: created.id, meetingId: '222222222', revokedAt: null })
    const sooner = inMs(HOUR_MS)
    expect((await call('PATCH', url, { expires_at: sooner, join_at: null })).json()).toMatchObject({
      expires_at: sooner,
      join_at: null,
    })
    for (const body of [
      { expires_at: inMs(-1) },
      { expires_at: null },
      { kinds: ['zak'] },
      { host: {} },
      { meeting: 'x' },
    ])
      expect(outcomeOf(await call('PATCH', url, body))).toEqual([400, 'invalid_request'])
  })

  test('is gone once revoked, and its secret is known as revoked', async () => {
    const { create, call } = await newTenant()
    const created = (await create()).json()
    const url = `/v1/passes/${created.id}`
    expect((await call('DELETE', url)).statusCode).toBe(204)
    for (const [method, body] of [['GET'], ['DELETE'], ['PATCH', {}]] as const)
      expect(outcomeOf(await call(method, url, body))).toEqual([404, 'not_found'])
    expect((await call('GET', '/v1/passes')).json().data).toEqual([])
    const found = await t.services.passes.resolvePass(sha256(secretOf(created.join_token_url)))
    expect(found?.revokedAt).toBeInstanceOf(Date)
  })
})
