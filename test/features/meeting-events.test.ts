import { afterAll, describe, expect, test } from 'vitest'
import { startTestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { newTenantWithKey, outcomeOf, seedOrganization, unique } from '../helpers/management.ts'
import { ACCOUNT, atSecond, meetingWorld, newNumber } from '../helpers/meeting-events.ts'
import { newVaultHost, told } from '../helpers/vault.ts'
import { meetingEvent, personalNumberMoved, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET } })
afterAll(() => t.stop())
const { settled, get, hostOf, newUser, hear } = meetingWorld(t)

describe('Zoom’s events map a meeting', () => {
  test('an instant one that has started, for a bot seconds later', async () => {
    const host = await newVaultHost(t)
    const instant = newNumber()
    const pass = await t.createPass({ meeting: instant })
    expect(told(await t.bot(pass.join_token_url))).toEqual([404, 'meeting_not_mapped'])
    t.zoom.addMeeting({ id: instant, host: host.email, type: 1 })
    const { id, account_id: account } = t.zoom.addUser({ email: host.email })
    const started = meetingEvent('meeting.started', account, { id: instant, host_id: id, topic: 'Now' })
    expect((await zoomSends(t, started)).statusCode).toBe(204)
    await expect
      .poll(async () => told(await t.bot(pass.join_token_url)), { timeout: 2000, interval: 50 })
      .toEqual([200])
    expect(t.zoom.issued.filter(({ kind }) => kind === 'join').length).toBeGreaterThan(0)
  })

  test('to its host, not to the assistant who scheduled it', async () => {
    const tenant = await newTenantWithKey(t)
    const [boss, assistant] = [await newUser(tenant, 'boss'), await newUser(tenant, 'assistant')]
    const id = newNumber()
    await hear('created', { id: Number(id), host_id: boss.zoomUserId }, 1, { operator_id: assistant.zoomUserId })
    expect(await get(tenant, id)).toMatchObject({
      host_id: boss.hostId,
      external_user_id: 'boss',
      organization_id: null,
      source: 'event',
      observed_at: atSecond(1).toISOString(),
      replaced: null,
    })
  })

  test('in every tenant that shares the grant, and in no other', async () => {
    const [first, second, other] = [await newTenantWithKey(t), await newTenantWithKey(t), await newTenantWithKey(t)]
    const { grantId, zoomUserId, hostId } = await newUser(first)
    const link = { externalUserId: 'bob', grantId, consentEpoch: 0, onOtherZoomUser: 'refuse' } as const
    const shared = await t.services.hosts.link(second.id, link)
    await newUser(other)
    const id = newNumber()
    await hear('created', { id, host_id: zoomUserId })
    expect([await hostOf(first, id), await hostOf(second, id)]).toEqual([hostId, shared.hostId])
    expect(outcomeOf(await other.call('GET', `/v1/meetings/${id}`))).toEqual([404, 'not_found'])
    await hear('deleted', { id, host_id: zoomUserId }, 1)
    expect([await hostOf(first, id), await hostOf(second, id)]).toEqual([null, null])
  })

  test('not in a tenant whose consent the user has taken back since', async () => {
    const tenant = await newTenantWithKey(t)
    const { grantId, zoomUserId } = await newUser(tenant)
    await rows(t, 'UPDATE grant_tokens SET consent_epoch = 1 WHERE grant_id = $1', [grantId])
    const id = newNumber()
    await hear('created', { id, host_id: zoomUserId })
    expect(await hostOf(tenant, id)).toBeNull()
  })

  test('not by an event of another account, nor of another app', async () => {
    const tenant = await newTenantWithKey(t)
    const { zoomUserId, hostId } = await newUser(tenant)
    const [id, known] = [newNumber(), newNumber()]
    await zoomSends(t, meetingEvent('meeting.created', 'account-2', { id, host_id: zoomUserId }))
    await hear('created', { id: known, host_id: zoomUserId })
    const body = { client_id: unique(), client_secret: 's', webhook_secret_token: 'own', tenant_id: tenant.id }
    const app = (await t.api('POST', '/v1/zoom-apps', { body })).json()
    const sign = { path: `/zoom/webhook/${app.id}`, secret: 'own' }
    expect(
      (await zoomSends(t, meetingEvent('meeting.created', ACCOUNT, { id, host_id: zoomUserId }), sign)).statusCode,
    ).toBe(204)
    await zoomSends(t, meetingEvent('meeting.deleted', ACCOUNT, { id: known, host_id: zoomUserId }), sign)
    await settled()
    expect([await hostOf(tenant, id), await hostOf(tenant, known)]).toEqual([null, hostId])
  })

  test('by its personal number too; the number that a user gave up opens nothing', async () => {
    const tenant = await newTenantWithKey(t)
    const { zoomUserId, hostId } = await newUser(tenant)
    const [id, before, after] = [newNumber(), newNumber(), newNumber()]
    await hear('created', { id, host_id: zoomUserId, pmi: before }, 1)
    expect([await hostOf(tenant, id), await hostOf(tenant, before)]).toEqual([hostId, hostId])
    await zoomSends(t, personalNumberMoved(zoomUserId, ACCOUNT, Number(before), Number(after), atSecond(2)))
    await settled()
    expect([await hostOf(tenant, before), await hostOf(tenant, after)]).toEqual([null, hostId])
    await hear('deleted', { id, host_id: zoomUserId, pmi: after }, 3)
    expect([await hostOf(tenant, id), await hostOf(tenant, after)]).toEqual([null, hostId])
  })
})

describe('of an account that an admin connected', () => {
  test('a meeting is the organization’s, and the host’s where the tenant knows the host', async () => {
    const tenant = await newTenantWithKey(t)
    const body = { client_id: unique(), client_secret: 's', webhook_secret_token: 'whole', kind: 'account' }
    const app = (await t.api('POST', '/v1/zoom-apps', { body })).json()
    const organization = await seedOrganization(t, tenant.id, ACCOUNT)
    await rows(t, 'UPDATE grants SET zoom_app_id = $1 WHERE id = $2', [app.id, organization.grantId])
    const { zoomUserId, hostId } = await newUser(tenant)
    const sign = { path: `/zoom/webhook/${app.id}`, secret: 'whole' }
    const send = async (event: object) => {
      expect((await zoomSends(t, event, sign)).statusCode).toBe(204)
      await settled()
    }
    const [own, of, foreign] = [newNumber(), newNumber(), newNumber()]
    await send(meetingEvent('meeting.created', ACCOUNT, { id: own, host_id: zoomUserId }))
    await send(meetingEvent('meeting.created', ACCOUNT, { id: of, host_id: unique() }))
    await send(meetingEvent('meeting.created', unique(), { id: foreign, host_id: unique() }))
    expect(await get(tenant, own)).toMatchObject({ host_id: hostId, organization_id: null, source: 'event' })
    expect(await get(tenant, of)).toMatchObject({ host_id: null, organization_id: organization.id, source: 'event' })
    expect(await hostOf(tenant, foreign)).toBeNull()
    for (const id of [own, of]) await send(meetingEvent('meeting.deleted', ACCOUNT, { id }))
    for (const id of [own, of]) expect((await tenant.call('GET', `/v1/meetings/${id}`)).statusCode).toBe(404)
  })
})

describe('what has come since', () => {
  test('stands: an older event changes nothing, whichever comes first', async () => {
    const tenant = await newTenantWithKey(t)
    const [alice, bob] = [await newUser(tenant, 'alice'), await newUser(tenant, 'bob')]
    const id = newNumber()
    await hear('updated', { id, host_id: bob.zoomUserId }, 5)
    await hear('created', { id, host_id: alice.zoomUserId }, 1)
    await hear('deleted', { id, host_id: alice.zoomUserId }, 4)
    expect(await hostOf(tenant, id)).toBe(bob.hostId)
  })

  test('a deleted meeting does not come back with a late event of its making, but does when it is recovered', async () => {
    const tenant = await newTenantWithKey(t)
    const { zoomUserId, hostId } = await newUser(tenant)
    const id = newNumber()
    await hear('deleted', { id, host_id: zoomUserId }, 2)
    await hear('created', { id, host_id: zoomUserId }, 1)
    await hear('ended', { id, host_id: zoomUserId }, 1.5)
    expect(await hostOf(tenant, id)).toBeNull()
    await t.services.meetings.map(tenant.id, id, { externalUserId: 'alice' }, 'sync', atSecond(1.9))
    expect(await hostOf(tenant, id)).toBeNull()
    await hear('recovered', { id, host_id: zoomUserId }, 3)
    expect(await hostOf(tenant, id)).toBe(hostId)
  })

  test('one occurrence less, an end and a change without its host leave it mapped', async () => {
    const tenant = await newTenantWithKey(t)
    const { zoomUserId, hostId } = await newUser(tenant)
    const id = newNumber()
    await hear('created', { id, host_id: zoomUserId }, 1)
    await hear('updated', { id, topic: 'Another' }, 2)
    await hear('deleted', { id, host_id: zoomUserId, occurrences: [{ occurrence_id: '1' }] }, 3)
    await hear('ended', { id, host_id: zoomUserId }, 4)
    expect(await get(tenant, id)).toMatchObject({ host_id: hostId, observed_at: atSecond(4).toISOString() })
  })

  test('a meeting that went to somebody the tenant does not know is nobody’s there', async () => {
    const tenant = await newTenantWithKey(t)
    const { zoomUserId } = await newUser(tenant)
    const id = newNumber()
    await hear('created', { id, host_id: zoomUserId }, 1)
    await hear('updated', { id, host_id: unique() }, 2)
    expect(await hostOf(tenant, id)).toBeNull()
  })

  test('a change of host tells what it replaced', async () => {
    const tenant = await newTenantWithKey(t)
    const [alice, bob] = [await newUser(tenant, 'alice'), await newUser(tenant, 'bob')]
    const id = newNumber()
    await t.services.meetings.map(tenant.id, id, { externalUserId: 'alice' }, 'sync', atSecond(1))
    await hear('updated', { id, host_id: bob.zoomUserId }, 0) // Zoom's word over sync, though older
    await hear('started', { id, host_id: bob.zoomUserId }, 2)
    const replaced = {
      source: 'sync',
      host_id: alice.hostId,
      organization_id: null,
      observed_at: atSecond(1).toISOString(),
    }
    expect(await get(tenant, id)).toMatchObject({ host_id: bob.hostId, source: 'event', replaced })
    await t.services.meetings.map(tenant.id, id, { externalUserId: 'alice' }, 'sync')
    expect(await hostOf(tenant, id)).toBe(bob.hostId)
    const listed = (await tenant.call('GET', '/v1/meetings?source=event')).json().data
    expect(listed).toEqual([expect.objectContaining({ meeting_id: id, replaced })])
  })
})
