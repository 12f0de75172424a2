import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DEFAULT_MODES } from '../../simulator/seed.ts'
import { accountWorld, UNHURRIED } from '../helpers/account.ts'
import { startTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { newNumber } from '../helpers/meeting-events.ts'
import { told } from '../helpers/vault.ts'
import { meetingEvent, userEvent } from '../helpers/zoom-events.ts'

const t = await startTestApp()
afterAll(() => t.stop())
const world = await accountWorld(t)

let tenant: Awaited<ReturnType<typeof newTenant>>
beforeEach(async () => {
  tenant = await newTenant(t)
  t.zoom.setModes(UNHURRIED)
})
afterEach(() => {
  t.zoom.clearFaults()
  t.zoom.setModes(DEFAULT_MODES)
})

const { sync, hear, newAccount, connect } = world
const organizationOf = (organization: { id: string }) => world.organizationOf(organization, tenant.headers)
const mappingOf = (meeting: string, { headers } = tenant) => world.mappingOf(meeting, headers)
const passFor = (meeting: string) => world.passFor(meeting, tenant.headers)
const questionsAbout = (meeting: string) => t.zoom.log().filter(({ path }) => path === `/v2/meetings/${meeting}`)

describe('a bot for a meeting that nobody has mapped', () => {
  test('gets its token where an admin’s account has it, after one question, whoever of the account is its host', async () => {
    const { admin, join } = newAccount(0)
    const organization = await connect(admin, tenant.headers)
    const [stranger, host] = [join(), join()]
    const { id: hostId } = await t.connectHost('own', host.email, tenant.headers)
    expect(told(await t.bot((await passFor(stranger.meeting)).join_token_url))).toEqual([200])
    expect(questionsAbout(stranger.meeting).filter(({ status }) => status === 200)).toHaveLength(1)
    expect(await mappingOf(stranger.meeting)).toMatchObject({ organization_id: organization.id, source: 'lookup' })
    expect(told(await t.bot((await passFor(host.meeting)).obf_token_url))).toEqual([200])
    expect(await mappingOf(host.meeting)).toMatchObject({ host_id: hostId, organization_id: null, source: 'lookup' })
  })

  test('of another account is refused, after a bounded number of questions', async () => {
    const { admin } = newAccount(0)
    await connect(admin, tenant.headers)
    const { meeting } = newAccount(0).admin
    expect(told(await t.bot((await passFor(meeting)).join_token_url))).toEqual([404, 'meeting_not_mapped'])
    expect(questionsAbout(meeting)).toHaveLength(1)
  })
})

describe('a user of an account who never connected', () => {
  test('becomes the host of what events told of their meetings as they connect', async () => {
    const { account, admin, join } = newAccount(0)
    const organization = await connect(admin, tenant.headers)
    const { id, email } = join()
    const meeting = newNumber()
    t.zoom.addMeeting({ id: meeting, host: email, type: 1, live: true })
    await hear(meetingEvent('meeting.started', account, { id: meeting, host_id: id }))
    expect(await mappingOf(meeting)).toMatchObject({ organization_id: organization.id, source: 'event' })
    const { id: hostId } = await t.connectHost('late', email, tenant.headers)
    expect(await mappingOf(meeting)).toMatchObject({ host_id: hostId, organization_id: null, source: 'event' })
    expect(told(await t.bot((await passFor(meeting)).obf_token_url))).toEqual([200])
  })

  test('becomes it by their own sync where the event was stored while they connected', async () => {
    const { admin, join } = newAccount(0)
    const organization = await connect(admin, tenant.headers)
    const { id, email } = join()
    const { id: hostId } = await t.connectHost('late', email, tenant.headers)
    const meeting = newNumber()
    const stored = `INSERT INTO meetings (id, tenant_id, meeting_id, organization_id, zoom_user_id, source)
                    VALUES (gen_random_uuid(), $1, $2, $3, $4, 'event')`
    await rows(t, stored, [tenant.id, meeting, organization.id, id])
    const [host] = await rows<{ grantId: string }>(t, 'SELECT grant_id AS "grantId" FROM hosts WHERE id = $1', [hostId])
    await sync({ grantId: String(host?.grantId) })
    expect(await mappingOf(meeting)).toMatchObject({ host_id: hostId, source: 'event' })
  })

  test('is named where a bot’s token needs them, with their own settings at Zoom as the admin sees them', async () => {
    const { admin, users } = newAccount(1)
    const organization = await connect(admin, tenant.headers)
    await sync(organization)
    const [user] = users
    if (!user) throw new Error('no such user')
    t.zoom.addUser({ id: user.id, local_recording: false })
    const pass = await passFor(user.meeting)
    const explained = (await t.api('GET', `/v1/passes/${pass.id}/explain`, { headers: tenant.headers })).json()
    expect(explained).toMatchObject({
      host: null,
      organization: { id: organization.id, status: 'connected', degraded: [] },
      mapping: { organization_id: organization.id, zoom_user_id: user.id },
      settings: { reason: null, local_recording: false },
    })
    expect(explained.causes[0]).toMatchObject({
      cause: 'host_not_connected',
      likelihood: 'certain',
      why: expect.stringContaining('its host has to connect for obf and zak'),
    })
    expect(explained.causes).toContainEqual(
      expect.objectContaining({ cause: 'local_recording_off', likelihood: 'likely' }),
    )
  })

  test('is forgotten with their meetings when they leave it, and the account stays connected', async () => {
    const { account, admin, users } = newAccount(2)
    const organization = await connect(admin, tenant.headers)
    await sync(organization)
    const [gone, stays] = users
    if (!gone || !stays) throw new Error('no such user')
    await hear(userEvent('user.deleted', gone.id, account))
    for (const meeting of [gone.meeting, gone.pmi])
      expect(await mappingOf(meeting)).toMatchObject({ code: 'not_found' })
    expect(await rows(t, 'SELECT FROM account_users WHERE zoom_user_id = $1', [gone.id])).toEqual([])
    expect(await organizationOf(organization)).toMatchObject({ status: 'connected' })
    expect(told(await t.bot((await passFor(stays.meeting)).join_token_url))).toEqual([200])
  })
})

describe('the admin who connected an account', () => {
  test('has to have the right: Zoom refuses a member, and nothing is connected', async () => {
    const member = newAccount(0).join()
    await expect(connect(member, tenant.headers)).rejects.toThrow('permission')
    expect((await t.api('GET', '/v1/organizations', { headers: tenant.headers })).json().data).toEqual([])
  })

  test.each([
    ['is removed from Zoom', 'event', 'user_removed'],
    ['is refused by Zoom as removed (4735)', '4735', 'user_removed'],
    ['takes the app away', 'deauthorisation', 'deauthorized'],
  ] as const)('who %s ends the organization with that reason, and no user’s own grant', async (_, how, reason) => {
    const { account, admin, users } = newAccount(1)
    const [user] = users
    if (!user) throw new Error('no such user')
    const { id: hostId } = await t.connectHost('own', user.email, tenant.headers)
    const organization = await connect(admin, tenant.headers)
    await sync(organization)
    if (how === 'event') await hear(userEvent('user.deleted', admin.id, account))
    else if (how === 'deauthorisation')
      await hear({
        event: 'app_deauthorized',
        event_ts: Date.now(),
        payload: { account_id: account, user_id: admin.id, client_id: 'simulator-account-client-id' },
      })
    else {
      t.zoom.setFault({
        match: { grant_type: 'refresh_token', user_id: admin.email },
        action: { type: 'zoom_error', code: 4735 },
      })
      await rows(t, 'UPDATE grant_tokens SET access_expires_at = now() WHERE grant_id = $1', [organization.grantId])
      t.zoom.expireAccessTokens(admin.email)
      expect(told(await t.bot((await passFor(admin.meeting)).join_token_url))).toEqual([404, 'reconnect_required'])
    }
    expect(await organizationOf(organization)).toMatchObject({ status: 'reconnect_required', status_reason: reason })
    const host = (await t.api('GET', `/v1/hosts/${hostId}`, { headers: tenant.headers })).json()
    expect(host).toMatchObject({ status: 'connected' })
    expect(told(await t.bot((await passFor(user.meeting)).join_token_url))).toEqual([200])
  })

  test('who connects again with another account leaves nothing of the former one', async () => {
    const { admin, users } = newAccount(1)
    const organization = await connect(admin, tenant.headers)
    await sync(organization)
    const next = newAccount(1)
    t.zoom.addUser({ id: admin.id, account_id: next.account })
    expect((await connect(admin, tenant.headers)).id).toBe(organization.id)
    expect(await mappingOf(String(users[0]?.meeting))).toMatchObject({ code: 'not_found' })
    await sync(organization)
    expect(await mappingOf(String(next.users[0]?.meeting))).toMatchObject({ organization_id: organization.id })
    expect((await organizationOf(organization)).sync).toMatchObject({ users: 3 })
  })
})
