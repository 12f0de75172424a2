import { afterAll, beforeAll, expect, test } from 'vitest'
import { uuidv7 } from '../../src/lib/ids.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { callerOf, newTenantWithKey, outcomeOf } from '../helpers/management.ts'

let t: TestApp

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())

const passId = uuidv7()

async function tenantWithMints() {
  const tenant = await newTenantWithKey(t)
  const rows = [
    ['join', '111111111', passId, 'minted', null],
    ['obf', '111111111', null, 'not_the_host', 3001],
    ['join', '222222222', passId, null, null],
    ['access', null, null, 'minted', null],
  ]
  const ids: string[] = []
  for (const [kind, meetingId, pass, outcome, zoomCode] of rows) {
    const id = uuidv7()
    ids.unshift(id)
    await t.admin.query(
      `INSERT INTO mints (id, tenant_id, kind, meeting_id, pass_id, outcome, zoom_code, request_id)
       VALUES ($1, $2, $3, $4, $5, $6, $7, 'request')`,
      [id, tenant.id, kind, meetingId, pass, outcome, zoomCode],
    )
  }
  const call = callerOf(t, tenant.key)
  const list = async (query: string) => (await call('GET', `/v1/mints?${query}`)).json()
  return { ids, list, call }
}

test('the ledger is read newest first, an outcome that was never written as unknown', async () => {
  const { ids, list } = await tenantWithMints()
  const { data } = await list('')
  expect(data.map(({ id }: { id: string }) => id)).toEqual(ids)
  expect(data.map(({ outcome }: { outcome: string }) => outcome)).toEqual([
    'minted',
    'unknown',
    'not_the_host',
    'minted',
  ])
  expect(data[2]).toEqual({
    id: ids[2],
    kind: 'obf',
    meeting_id: '111111111',
    host_id: null,
    pass_id: null,
    outcome: 'not_the_host',
    reason: null,
    zoom_status: null,
    zoom_code: 3001,
    duration_ms: null,
    request_id: 'request',
    created_at: expect.any(String),
  })
  expect(data[0].meeting_id).toBeNull()
})

test('the ledger is filtered by meeting, pass, outcome and kind, and pages under its filter', async () => {
  const { ids, list, call } = await tenantWithMints()
  const found = async (query: string) => (await list(query)).data.map(({ id }: { id: string }) => id)
  expect(await found('meeting_id=111111111')).toEqual([ids[2], ids[3]])
  expect(await found(`pass_id=${passId}`)).toEqual([ids[1], ids[3]])
  expect(await found('outcome=unknown')).toEqual([ids[1]])
  expect(await found('outcome=minted&kind=join')).toEqual([ids[3]])
  const { next_cursor } = await list('kind=join&limit=1')
  expect(await found(`kind=join&limit=1&cursor=${next_cursor}`)).toEqual([ids[3]])
  for (const query of ['kind=obf', '', 'outcome=minted'])
    expect(outcomeOf(await call('GET', `/v1/mints?${query}&cursor=${next_cursor}`))).toEqual([400, 'invalid_request'])
  for (const query of ['kind=none', 'meeting_id=1', 'pass_id=1', 'outcome=A%00', 'kind=join&kind=obf'])
    expect(outcomeOf(await call('GET', `/v1/mints?${query}`))).toEqual([400, 'invalid_request'])
})
