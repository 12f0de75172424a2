import { afterAll, describe, expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '../../src/default-tenant.ts'
import { startTestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { dump } from '../helpers/dump.ts'
import { newTenantWithKey, unique } from '../helpers/management.ts'
import { ACCOUNT, atSecond, meetingWorld, newNumber, type Tenant } from '../helpers/meeting-events.ts'
import { newVaultHost, told } from '../helpers/vault.ts'
import { deauthorization, meetingEvent, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET } })
afterAll(() => t.stop())
const { settled, get, hostOf, newUser, hear } = meetingWorld(t)

describe('of what others say', () => {
  const word = (tenant: Tenant, id: string, who: string, source: 'lookup' | 'sync', second: number) =>
    t.services.meetings.map(tenant.id, id, { externalUserId: who }, source, atSecond(second))

  test('Zoom’s word counts over a list, and the later one of an event and a question', async () => {
    const tenant = await newTenantWithKey(t)
    const [alice, bob] = [await newUser(tenant, 'alice'), await newUser(tenant, 'bob')]
    const id = newNumber()
    await word(tenant, id, 'alice', 'sync', 1)
    await word(tenant, id, 'bob', 'sync', 0)
    expect(await hostOf(tenant, id)).toBe(alice.hostId)
    await word(tenant, id, 'bob', 'lookup', 0)
    expect(await get(tenant, id)).toMatchObject({ host_id: bob.hostId, source: 'lookup' })
    await word(tenant, id, 'alice', 'sync', 9)
    await hear('updated', { id, host_id: alice.zoomUserId }, -1)
    expect(await hostOf(tenant, id)).toBe(bob.hostId)
    await hear('updated', { id, host_id: alice.zoomUserId }, 2)
    expect(await get(tenant, id)).toMatchObject({ host_id: alice.hostId, source: 'event' })
  })

  test('a list fetched after a deletion counts, one fetched before does not', async () => {
    const tenant = await newTenantWithKey(t)
    const { zoomUserId, hostId } = await newUser(tenant)
    const id = newNumber()
    await hear('deleted', { id, host_id: zoomUserId }, 5)
    await word(tenant, id, 'alice', 'sync', 4)
    expect(await hostOf(tenant, id)).toBeNull()
    await word(tenant, id, 'alice', 'sync', 6)
    expect(await hostOf(tenant, id)).toBe(hostId)
  })
})

describe('what the tenant itself said', () => {
  test('is neither changed nor deleted by events', async () => {
    const tenant = await newTenantWithKey(t)
    const [alice, bob] = [await newUser(tenant, 'alice'), await newUser(tenant, 'bob')]
    const id = newNumber()
    await hear('created', { id, host_id: bob.zoomUserId }, 1)
    const put = (await tenant.call('PUT', `/v1/meetings/${id}`, { host_id: alice.hostId })).json()
    const replaced = {
      source: 'event',
      host_id: bob.hostId,
      organization_id: null,
      observed_at: atSecond(1).toISOString(),
    }
    expect(put).toMatchObject({ host_id: alice.hostId, source: 'api', replaced })
    for (const event of ['started', 'updated', 'deleted', 'permanently_deleted'])
      await hear(event, { id, host_id: bob.zoomUserId }, 10_000)
    expect(await get(tenant, id)).toEqual(put)
  })

  test('takes effect for the next mint: PUT, and DELETE, after which no older event maps it again', async () => {
    const [alice, bob] = [await newVaultHost(t), await newVaultHost(t)]
    const id = newNumber()
    t.zoom.addMeeting({ id, host: bob.email })
    const [pass, user] = [await t.createPass({ meeting: id }), t.zoom.addUser({ email: alice.email })]
    const created = meetingEvent('meeting.created', user.account_id, { id, host_id: user.id })
    await zoomSends(t, created)
    await settled()
    expect(told(await t.bot(pass.join_token_url))).toEqual([404, 'meeting_not_found']) // Zoom’s word to whoever is not its host
    await t.api('PUT', `/v1/meetings/${id}`, { body: { host_id: bob.hostId } })
    expect(told(await t.bot(pass.join_token_url))).toEqual([200])
    await t.api('DELETE', `/v1/meetings/${id}`)
    expect(told(await t.bot(pass.join_token_url))).toEqual([404, 'meeting_not_mapped'])
    const between = { ...created, event_ts: created.event_ts + 1 } // newer than what Zoom said last, and sent late
    for (const event of [created, between]) await zoomSends(t, event)
    await settled()
    await t.services.meetings.map(
      DEFAULT_TENANT_ID,
      id,
      { externalUserId: bob.externalUserId },
      'sync',
      new Date(created.event_ts),
    )
    expect(told(await t.bot(pass.join_token_url))).toEqual([404, 'meeting_not_mapped'])
    await zoomSends(t, meetingEvent('meeting.updated', user.account_id, { id, host_id: user.id }, { at: new Date() }))
    await settled()
    expect(told(await t.bot(pass.join_token_url))).toEqual([404, 'meeting_not_found'])
  })
})

describe('what is kept', () => {
  test('is the number and whose it is: no topic, password or link is in any table or log line', async () => {
    const tenant = await newTenantWithKey(t)
    const { zoomUserId } = await newUser(tenant)
    const [id, mark] = [newNumber(), `mark${unique()}`]
    const join_url = `https://us02web.zoom.us/j/${id}?pwd=${mark}-link`
    const settings = { alternative_hosts: `${mark}@example.com` }
    const said = { topic: `${mark}-topic`, password: `${mark}-password`, agenda: mark, join_url, settings }
    for (const [second, event] of ['created', 'started', 'deleted', 'recovered'].entries())
      await hear(event, { id, host_id: zoomUserId, ...said }, second)
    expect(await hostOf(tenant, id)).not.toBeNull()
    expect(await dump(t)).not.toContain(mark)
    expect(t.log.join('')).not.toContain(mark)
  })

  test('goes with the host, and with the user who takes the app away', async () => {
    const tenant = await newTenantWithKey(t)
    const [alice, bob] = [await newUser(tenant, 'alice'), await newUser(tenant, 'bob')]
    const [first, second] = [newNumber(), newNumber()]
    await hear('created', { id: first, host_id: alice.zoomUserId })
    await hear('created', { id: second, host_id: bob.zoomUserId })
    await tenant.call('DELETE', `/v1/hosts/${alice.hostId}?revoke=false`)
    await zoomSends(t, deauthorization(bob.zoomUserId, ACCOUNT))
    await settled()
    expect(await rows(t, 'SELECT FROM meetings WHERE tenant_id = $1', [tenant.id])).toEqual([])
    await hear('started', { id: second, host_id: bob.zoomUserId }, 3600)
    expect(await hostOf(tenant, second)).toBeNull()
  })

  test('against old events is kept for eight days, and a mapping that outlived its host goes', async () => {
    const tenant = await newTenantWithKey(t)
    const { zoomUserId } = await newUser(tenant)
    const [old, fresh, left] = [newNumber(), newNumber(), newNumber()]
    for (const id of [old, fresh]) await hear('created', { id, host_id: zoomUserId })
    await tenant.call('PUT', `/v1/meetings/${left}`, { external_user_id: 'alice' })
    await tenant.call('DELETE', `/v1/meetings/${left}`)
    await rows(t, `UPDATE meeting_deletions SET at = now() - interval '9 days' WHERE meeting_id = $1`, [left])
    await rows(t, `UPDATE meeting_event_marks SET at = now() - interval '9 days' WHERE meeting_id = $1`, [old])
    await t.services.meetings.map(tenant.id, left, { externalUserId: 'nobody-any-more' }, 'event')
    await tenant.call('PUT', `/v1/meetings/${fresh}`, { external_user_id: 'alice' })
    await t.services.meetings.purgeAcrossTenants()
    const marks = await rows<{ id: string }>(
      t,
      'SELECT meeting_id AS id FROM meeting_event_marks WHERE meeting_id = ANY($1)',
      [[old, fresh]],
    )
    expect(marks).toEqual([{ id: fresh }])
    expect([await hostOf(tenant, old), (await get(tenant, fresh)).source]).toEqual([expect.any(String), 'api'])
    expect((await tenant.call('GET', `/v1/meetings/${left}`)).statusCode).toBe(404)
    expect(await rows(t, 'SELECT FROM meeting_deletions WHERE meeting_id = $1', [left])).toEqual([])
  })
})
