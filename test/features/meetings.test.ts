import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenantWithKey, outcomeOf, seedHost, seedOrganization, unique } from '../helpers/management.ts'

let t: TestApp

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())

async function newTenant() {
  const tenant = await newTenantWithKey(t)
  const host = await seedHost(t, tenant.id, 'alice')
  const organization = await seedOrganization(t, tenant.id, unique())
  return { ...tenant, host, organization }
}

describe('mapping a meeting', () => {
  test('answers whose it is, named by host, by the tenant’s own user id or by organization', async () => {
    const { host, organization, call } = await newTenant()
    const times = { observed_at: expect.any(String), updated_at: expect.any(String) }
    const stored = { meeting_id: '111111111', source: 'api', zoom_user_id: null, replaced: null, ...times }
    const asHost = { ...stored, host_id: host.id, external_user_id: 'alice', organization_id: null }
    for (const target of [{ host_id: host.id }, { external_user_id: 'alice' }]) {
      const put = await call('PUT', '/v1/meetings/111111111', target)
      expect([put.statusCode, put.json()]).toEqual([200, asHost])
    }
    const put = await call('PUT', '/v1/meetings/111111111', { organization_id: organization.id })
    const replaced = { source: 'api', host_id: host.id, organization_id: null, observed_at: expect.any(String) }
    const owner = { host_id: null, external_user_id: null, organization_id: organization.id }
    const asOrganization = { ...stored, ...owner, replaced }
    expect(put.json()).toEqual(asOrganization)
    expect((await call('GET', '/v1/meetings/111111111')).json()).toEqual(asOrganization)
  })

  test('takes numbers of 9 to 12 digits and nothing else', async () => {
    const { call } = await newTenant()
    for (const digits of ['123456789', '1234567890', '12345678901', '123456789012', '012345678'])
      expect((await call('PUT', `/v1/meetings/${digits}`, { external_user_id: 'alice' })).statusCode).toBe(200)
    const bad = ['12345678', '1234567890123', '+12345678', '1e9', 'null', '859%201234%205678', '85912345678%3Ftype=zak']
    for (const path of [...bad, '12345678٩', '123456789%00', '..%2F..%2Fusers', '123456789;x'])
      expect(outcomeOf(await call('PUT', `/v1/meetings/${path}`, { external_user_id: 'alice' }))).toEqual([
        400,
        'invalid_request',
      ])
  })

  test('needs exactly one target, and one that the tenant has', async () => {
    const { host, call } = await newTenant()
    const put = async (body: unknown) => outcomeOf(await call('PUT', '/v1/meetings/111111111', body))
    for (const body of [{}, { host_id: host.id, external_user_id: 'alice' }, { host_id: null }, { host_id: 'x' }])
      expect(await put(body)).toEqual([400, 'invalid_request'])
    const unknown = crypto.randomUUID()
    for (const body of [{ host_id: unknown }, { organization_id: unknown }, { external_user_id: 'bob' }])
      expect(await put(body)).toEqual([404, 'not_found'])
  })

  test('by the tenant is overruled by nothing that was found', async () => {
    const { id, call } = await newTenant()
    await seedHost(t, id, 'bob')
    const owner = async () => (await call('GET', '/v1/meetings/222222222')).json()
    await t.services.meetings.map(id, '222222222', { externalUserId: 'bob' }, 'sync')
    expect(await owner()).toMatchObject({ external_user_id: 'bob', source: 'sync' })
    await t.services.meetings.map(id, '222222222', { externalUserId: 'alice' }, 'event')
    expect(await owner()).toMatchObject({ external_user_id: 'alice', source: 'event' })
    await call('PUT', '/v1/meetings/222222222', { external_user_id: 'alice' })
    await t.services.meetings.map(id, '222222222', { externalUserId: 'bob' }, 'lookup')
    expect(await owner()).toMatchObject({ external_user_id: 'alice', source: 'api' })
  })

  test('is forgotten by DELETE: 204, then 404', async () => {
    const { call } = await newTenant()
    await call('PUT', '/v1/meetings/333333333', { external_user_id: 'alice' })
    expect((await call('DELETE', '/v1/meetings/333333333')).statusCode).toBe(204)
    for (const method of ['GET', 'DELETE'] as const)
      expect(outcomeOf(await call(method, '/v1/meetings/333333333'))).toEqual([404, 'not_found'])
  })
})

test('the list is filtered by host and source', async () => {
  const { id, host, organization, call } = await newTenant()
  await call('PUT', '/v1/meetings/100000001', { host_id: host.id })
  await call('PUT', '/v1/meetings/100000002', { organization_id: organization.id })
  await t.services.meetings.map(id, '100000003', { externalUserId: 'alice' }, 'sync')
  const found = async (query: string) =>
    (await call('GET', `/v1/meetings?${query}`)).json().data.map((row: { meeting_id: string }) => row.meeting_id)
  expect(await found('')).toEqual(['100000003', '100000002', '100000001'])
  expect(await found(`host_id=${host.id}`)).toEqual(['100000003', '100000001'])
  expect(await found('source=sync')).toEqual(['100000003'])
  expect(await found(`host_id=${crypto.randomUUID()}`)).toEqual([])
  expect(outcomeOf(await call('GET', '/v1/meetings?source=guess'))).toEqual([400, 'invalid_request'])
})

describe('a batch', () => {
  test('stores the good rows, names the bad ones, and of rows with one number the last counts', async () => {
    const { host, organization, call } = await newTenant()
    const meetings = [
      { meeting_id: '100000001', external_user_id: 'nobody' },
      { meeting_id: '100000002', organization_id: organization.id },
      { meeting_id: '100000003', host_id: crypto.randomUUID() },
      { meeting_id: '1234', external_user_id: 'alice' },
      { meeting_id: '100000004' },
      { meeting_id: '100000005', external_user_id: 'a\u0000b' },
      { meeting_id: '100000001', host_id: host.id },
      { meeting_id: '100000006', host_id: host.id },
      { meeting_id: '100000006', external_user_id: 'nobody' },
    ]
    const answer = await call('POST', '/v1/meetings/batch', { meetings })
    const refused = (meeting_id: string, code: string) => ({ meeting_id, status: 'refused', code })
    const stored = (meeting_id: string) => ({ meeting_id, status: 'stored' })
    expect([answer.statusCode, answer.json().data]).toEqual([
      200,
      [
        stored('100000001'),
        stored('100000002'),
        refused('100000003', 'not_found'),
        refused('1234', 'invalid_request'),
        refused('100000004', 'invalid_request'),
        refused('100000005', 'invalid_request'),
        stored('100000001'),
        refused('100000006', 'not_found'),
        refused('100000006', 'not_found'),
      ],
    ])
    expect((await call('GET', '/v1/meetings/100000001')).json()).toMatchObject({ host_id: host.id })
    expect((await call('GET', '/v1/meetings/100000006')).statusCode).toBe(404)
  })

  test('takes a thousand rows and not one more', async () => {
    const { call } = await newTenant()
    const row = (index: number) => ({ meeting_id: String(200_000_000 + index), external_user_id: 'alice' })
    const rows = Array.from({ length: 1001 }, (_, index) => row(index))
    const taken = await call('POST', '/v1/meetings/batch', { meetings: rows.slice(0, 1000) })
    const states = new Set(taken.json().data.map(({ status }: { status: string }) => status))
    expect([taken.json().data.length, states]).toEqual([1000, new Set(['stored'])])
    expect(outcomeOf(await call('POST', '/v1/meetings/batch', { meetings: rows }))).toEqual([400, 'invalid_request'])
    expect((await call('POST', '/v1/meetings/batch', { meetings: [] })).json()).toEqual({ data: [] })
  })

  test('is stored by one statement, whole or not at all', async () => {
    const { id, call } = await newTenant()
    const meetings = Array.from({ length: 1000 }, (_, index) => ({
      meeting_id: String(400_000_000 + index),
      external_user_id: 'alice',
    }))
    const statements = vi.spyOn(pg.Client.prototype, 'query')
    expect((await call('POST', '/v1/meetings/batch', { meetings })).statusCode).toBe(200)
    const texts = statements.mock.calls.map(([given]: unknown[]) => (given as { text?: string }).text ?? String(given))
    statements.mockRestore()
    expect(texts.filter((text) => /\bmeetings\b/.test(text))).toHaveLength(1)
    const written =
      'SELECT count(*)::int AS rows, count(DISTINCT xmin::text)::int AS writes FROM meetings WHERE tenant_id = $1'
    expect((await t.admin.query(written, [id])).rows).toEqual([{ rows: 1000, writes: 1 }])
  })

  test('names a row with two targets, one with an unknown organization and one with a padded number, and stores the rest', async () => {
    const { host, organization, call } = await newTenant()
    const meetings = [
      { meeting_id: '100000001', host_id: host.id, external_user_id: 'alice' },
      { meeting_id: '100000002', organization_id: crypto.randomUUID() },
      { meeting_id: ' 100000003', host_id: host.id },
      { meeting_id: '100000004', organization_id: organization.id },
    ]
    const answer = await call('POST', '/v1/meetings/batch', { meetings })
    expect(answer.json().data.map(({ code }: { code?: string }) => code)).toEqual([
      'invalid_request',
      'not_found',
      'invalid_request',
      undefined,
    ])
  })

  test('may be 256 KiB long, which a thousand rows of some length are not, and not one byte more', async () => {
    const { call } = await newTenant()
    const row = (index: number) => ({ meeting_id: String(500_000_000 + index), external_user_id: 'u'.repeat(190) })
    const meetings = Array.from({ length: 1000 }, (_, index) => row(index))
    expect((await call('POST', '/v1/meetings/batch', { meetings })).statusCode).toBe(200)
    const empty = JSON.stringify({ meetings: [{ meeting_id: '', external_user_id: 'alice' }] }).length
    const ofBytes = (bytes: number) => ({
      meetings: [{ meeting_id: ' '.repeat(bytes - empty), external_user_id: 'alice' }],
    })
    expect(outcomeOf(await call('POST', '/v1/meetings/batch', ofBytes(256 * 1024)))).toEqual([400, 'invalid_request'])
    expect(outcomeOf(await call('POST', '/v1/meetings/batch', ofBytes(256 * 1024 + 1)))).toEqual([
      413,
      'payload_too_large',
    ])
  })

  test('of the wrong shape is refused as a whole', async () => {
    const { call } = await newTenant()
    const row = { meeting_id: '100000001', external_user_id: 'alice' }
    for (const meetings of [null, row, [null], [[]], ['x'], [{ ...row, extra: 1 }], [{ ...row, meeting_id: 1e9 }]])
      expect(outcomeOf(await call('POST', '/v1/meetings/batch', { meetings }))).toEqual([400, 'invalid_request'])
  })

  test('beside another of the same numbers in the opposite order stores both without a dead lock', async () => {
    const { call } = await newTenant()
    const rows = Array.from({ length: 500 }, (_, index) => ({
      meeting_id: String(300_000_000 + index),
      external_user_id: 'alice',
    }))
    const orders = [rows, rows.toReversed(), rows, rows.toReversed()]
    const answers = await Promise.all(orders.map((meetings) => call('POST', '/v1/meetings/batch', { meetings })))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200])
  })
})
