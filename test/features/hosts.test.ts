import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { HOST_SCOPES, newTenantWithKey, outcomeOf, seedGrant, seedHost, unique } from '../helpers/management.ts'

const DAY_MS = 24 * 3600 * 1000
let t: TestApp

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())

const newTenant = () => newTenantWithKey(t)
const link = (
  tenantId: string,
  externalUserId: string,
  grantId: string,
  onOtherZoomUser: 'refuse' | 'replace' = 'refuse',
) => t.services.hosts.link(tenantId, { externalUserId, grantId, consentEpoch: 0, onOtherZoomUser })

describe('a host', () => {
  test('connected through Zoom shows every field of the contract', async () => {
    const host = await t.connectHost('hana', 'host@example.com')
    const shown = (await t.api('GET', `/v1/hosts/${host.id}`)).json()
    expect(shown).toEqual({
      id: host.id,
      external_user_id: 'hana',
      zoom_user_id: 'KdYKjnimT4KPd8FFgQt9FQ',
      zoom_account_id: 'EQK5vVqQTkqVnhlW3xTJ9A',
      email: 'host@example.com',
      display_name: 'Hana Host',
      status: 'connected',
      status_reason: null,
      scopes: expect.arrayContaining(HOST_SCOPES),
      missing_scopes: [],
      degraded: [],
      connected_at: expect.any(String),
      last_refreshed_at: expect.any(String),
      refresh_expires_at: expect.any(String),
      sync: { status: 'queued', started_at: null, finished_at: null, meetings: 0, code: null },
    })
    expect(Date.parse(shown.refresh_expires_at) - Date.parse(shown.last_refreshed_at)).toBe(90 * DAY_MS)
  })

  test('says why it must reconnect or is blocked, and which scopes it lacks', async () => {
    const { id, call } = await newTenant()
    const states = [
      [{ status: 'reconnect_required', statusReason: 'rotation_lost' }, 'reconnect_required', 'rotation_lost'],
      [{ blockedReason: 'admin_disabled' }, 'blocked', 'admin_disabled'],
      [{ status: 'disconnected' }, 'reconnect_required', 'deauthorized'],
    ] as const
    for (const [grant, status, status_reason] of states) {
      const host = await seedHost(t, id, unique(), { ...grant, scopes: ['user:read:token'] })
      expect((await call('GET', `/v1/hosts/${host.id}`)).json()).toMatchObject({
        status,
        status_reason,
        missing_scopes: ['meeting:read:local_recording_token'],
        degraded: ['profile', 'sync', 'settings'],
      })
    }
  })
})

describe('the list of hosts', () => {
  test('is filtered by status, external user id, Zoom user id and e-mail address in any case', async () => {
    const { id, call } = await newTenant()
    const alice = await seedHost(t, id, 'alice', { email: 'Alice@Example.com', zoomUserId: `z-${id}` })
    const bob = await seedHost(t, id, 'bob', { status: 'reconnect_required' })
    const found = async (query: string) =>
      (await call('GET', `/v1/hosts?${query}`)).json().data.map((host: { id: string }) => host.id)
    expect(await found('')).toEqual([bob.id, alice.id])
    expect(await found('status=reconnect_required')).toEqual([bob.id])
    expect(await found('external_user_id=alice')).toEqual([alice.id])
    expect(await found(`zoom_user_id=z-${id}`)).toEqual([alice.id])
    expect(await found('email=alice@example.COM')).toEqual([alice.id])
    expect(await found('external_user_id=ALICE')).toEqual([])
    expect(outcomeOf(await call('GET', '/v1/hosts?status=gone'))).toEqual([400, 'invalid_request'])
  })

  test('pages to its end without gap or duplicate, also while hosts come', async () => {
    const { id, call } = await newTenant()
    const hosts = []
    for (let count = 0; count < 5; count++) hosts.push((await seedHost(t, id, `user-${count}`)).id)
    const seen: string[] = []
    for (let cursor = ''; ; ) {
      const page = (await call('GET', `/v1/hosts?limit=2&cursor=${cursor}`)).json()
      seen.push(...page.data.map((host: { id: string }) => host.id))
      if (page.next_cursor === null) break
      cursor = page.next_cursor
      await seedHost(t, id, unique())
    }
    expect(seen).toEqual(hosts.reverse())
  })
})

describe('deleting a host', () => {
  test('answers 204, then 404, and revokes a grant that nobody links any more', async () => {
    t.zoom.addUser({ email: 'leaver@example.com' })
    const host = await t.connectHost('leaver', 'leaver@example.com')
    const before = t.zoom.log({ path: '/oauth/revoke' }).length
    expect((await t.api('DELETE', `/v1/hosts/${host.id}`)).statusCode).toBe(204)
    expect(t.zoom.log({ path: '/oauth/revoke' }).length - before).toBe(1)
    for (const method of ['GET', 'DELETE'] as const)
      expect(outcomeOf(await t.api(method, `/v1/hosts/${host.id}`))).toEqual([404, 'not_found'])
  })

  test('revokes nothing with revoke=false, and takes no other word', async () => {
    t.zoom.addUser({ email: 'mover@example.com' })
    const host = await t.connectHost('mover', 'mover@example.com')
    const before = t.zoom.log({ path: '/oauth/revoke' }).length
    for (const word of ['0', 'no', 'FALSE', ''])
      expect(outcomeOf(await t.api('DELETE', `/v1/hosts/${host.id}?revoke=${word}`))).toEqual([400, 'invalid_request'])
    expect((await t.api('DELETE', `/v1/hosts/${host.id}?revoke=false`)).statusCode).toBe(204)
    expect(t.zoom.log({ path: '/oauth/revoke' }).length).toBe(before)
  })

  test('takes the mappings found for it along and leaves those that the tenant made', async () => {
    const { id, call } = await newTenant()
    const host = await seedHost(t, id, 'alice')
    await call('PUT', '/v1/meetings/111111111', { external_user_id: 'alice' })
    await t.services.meetings.map(id, '222222222', { externalUserId: 'alice' }, 'event')
    await call('DELETE', `/v1/hosts/${host.id}?revoke=false`)
    expect((await call('GET', '/v1/meetings/111111111')).json()).toMatchObject({
      host_id: null,
      external_user_id: 'alice',
    })
    expect(outcomeOf(await call('GET', '/v1/meetings/222222222'))).toEqual([404, 'not_found'])
  })
})

describe('linking a grant', () => {
  test('again keeps the host’s id, and a new consent does not go back to an older one', async () => {
    const { id } = await newTenant()
    const grantId = await seedGrant(t)
    const { hostId } = await link(id, 'alice', grantId)
    const newer = { externalUserId: 'alice', grantId, consentEpoch: 2, onOtherZoomUser: 'refuse' } as const
    expect(await t.services.hosts.link(id, newer)).toEqual({ hostId, replacedGrantId: null })
    await link(id, 'alice', grantId)
    const epoch = 'SELECT consent_epoch FROM hosts WHERE id = $1'
    expect((await t.admin.query(epoch, [hostId])).rows).toEqual([{ consent_epoch: 2 }])
  })

  test('of another Zoom user is refused, or replaces the grant when asked to and forgets what was found for the former', async () => {
    const { id, call } = await newTenant()
    const { id: hostId, grantId: former } = await seedHost(t, id, 'alice')
    const other = await seedGrant(t)
    await t.services.meetings.map(id, '333333333', { externalUserId: 'alice' }, 'sync')
    await expect(link(id, 'alice', other)).rejects.toMatchObject({ code: 'other_zoom_user' })
    expect((await call('GET', '/v1/meetings/333333333')).statusCode).toBe(200)
    expect(await link(id, 'alice', other, 'replace')).toEqual({ hostId, replacedGrantId: former })
    expect((await call('GET', '/v1/meetings/333333333')).statusCode).toBe(404)
  })

  test('that another user of the tenant has is refused, also as a replacement', async () => {
    const { id } = await newTenant()
    const { grantId } = await seedHost(t, id, 'alice')
    await seedHost(t, id, 'bob')
    for (const name of ['carol', 'bob'])
      await expect(link(id, name, grantId, 'replace')).rejects.toMatchObject({ code: 'already_connected' })
  })

  test('that another tenant links is no concern of this one', async () => {
    const [a, b] = [await newTenant(), await newTenant()]
    const { grantId } = await seedHost(t, a.id, 'alice')
    expect((await link(b.id, 'someone', grantId)).hostId).toBeTruthy()
  })

  test('twenty times at once for one user makes one host, and each flow hears the right end', async () => {
    const { id, call } = await newTenant()
    const [same, other] = [await seedGrant(t), await seedGrant(t)]
    const flows = Array.from({ length: 20 }, (_, index) => link(id, 'alice', index % 2 ? same : other))
    const results = await Promise.allSettled(flows)
    const refusals = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []))
    expect(refusals).toEqual(Array(10).fill('other_zoom_user'))
    expect((await call('GET', '/v1/hosts')).json().data).toHaveLength(1)
  })

  test('of one Zoom user by ten users at once connects exactly one of them', async () => {
    const { id } = await newTenant()
    const grantId = await seedGrant(t)
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) => link(id, `user-${index}`, grantId)),
    )
    const codes = results.map((result) => (result.status === 'rejected' ? result.reason.code : 'linked')).sort()
    expect(codes).toEqual([...Array(9).fill('already_connected'), 'linked'])
  })
})

test('deleting a tenant unlinks its hosts and leaves the grants that others link', async () => {
  const [a, b] = [await newTenant(), await newTenant()]
  const shared = await seedHost(t, a.id, 'alice')
  const own = await seedHost(t, a.id, 'bob')
  const kept = await link(b.id, 'alice', shared.grantId)
  expect((await t.api('DELETE', `/v1/tenants/${a.id}`)).statusCode).toBe(204)
  expect((await b.call('GET', `/v1/hosts/${kept.hostId}`)).json().status).toBe('connected')
  const left = 'SELECT id FROM grants WHERE id = ANY($1)'
  expect((await t.admin.query(left, [[shared.grantId, own.grantId]])).rows).toContainEqual({
    id: shared.grantId,
  })
})
