import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { ACCOUNT_SCOPES, DEFAULT_MODES } from '../../simulator/seed.ts'
import { createAccountStore } from '../../src/features/meetings/account-store.ts'
import { createMeetingSync } from '../../src/features/meetings/sync-service.ts'
import { createSyncStore } from '../../src/features/meetings/sync-store.ts'
import { accountWorld, UNHURRIED } from '../helpers/account.ts'
import { startTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { newTenantWithKey, outcomeOf } from '../helpers/management.ts'
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
const running = new AbortController().signal
const listsOf = (userId: string) => t.zoom.log().filter(({ path }) => path === `/v2/users/${userId}/meetings`).length
const listings = () => t.zoom.log().filter(({ path }) => path === '/v2/users').length
const secondsUntilDue = async ({ grantId }: { grantId: string }) => {
  const query = 'SELECT EXTRACT(EPOCH FROM due_at - now())::float8 AS seconds FROM grant_syncs WHERE grant_id = $1'
  return Number((await rows(t, query, [grantId]))[0]?.seconds)
}

test('an account with 300 users connected once: a bot for any of their meetings gets a join token, and OBF and ZAK when that user connects', async () => {
  const { admin, users } = newAccount(300)
  const organization = await connect(admin, tenant.headers)
  await sync(organization)
  expect((await organizationOf(organization)).sync).toMatchObject({
    status: 'done',
    users: 301,
    users_waiting: 0,
    meetings: 602, // a meeting and a personal room each
    code: null,
  })
  const numbers = users.flatMap(({ meeting, pmi }) => [meeting, pmi])
  const mapped = 'SELECT count(*)::int AS n FROM meetings WHERE organization_id = $1 AND meeting_id = ANY ($2)'
  expect(await rows(t, mapped, [organization.id, numbers])).toEqual([{ n: 600 }])

  const [user] = users.slice(150)
  if (!user) throw new Error('no such user')
  for (const meeting of [user.meeting, user.pmi, String(users[0]?.meeting), String(users[299]?.pmi)])
    expect(told(await t.bot((await passFor(meeting)).join_token_url))).toEqual([200])
  const pass = await passFor(user.meeting)
  for (const url of [pass.obf_token_url, pass.zak_token_url])
    expect(told(await t.bot(url))).toEqual([404, 'host_not_connected'])

  const { id: hostId } = await t.connectHost('user-150', user.email, tenant.headers)
  for (const url of [pass.join_token_url, pass.obf_token_url, pass.zak_token_url])
    expect(told(await t.bot(url))).toEqual([200])
  expect(await mappingOf(user.meeting)).toMatchObject({
    host_id: hostId,
    organization_id: null,
    replaced: { organization_id: organization.id, source: 'sync' },
  })
})

describe('the sync of an account', () => {
  test('goes on where a part of it ended, and in between everybody else of the account has a turn', async () => {
    const { admin, users } = newAccount(50)
    const organization = await connect(admin, tenant.headers)
    const inParts = createMeetingSync({
      ...t.services,
      store: createSyncStore(t.app.sql),
      accounts: createAccountStore(t.app.sql),
      queue: t.services.jobQueue,
      log: t.app.log,
      now: Date.now,
      random: Math.random,
      partMs: 20,
    })
    await inParts.run(organization.grantId, running)
    const { sync: first } = await organizationOf(organization)
    expect(first).toMatchObject({ status: 'queued', users: 51, finished_at: null })
    expect(first.users_waiting).toBeGreaterThan(0)
    expect(await secondsUntilDue(organization)).toBeLessThan(2)
    expect(await rows(t, 'SELECT FROM account_syncs WHERE grant_id = $1', [organization.grantId])).toEqual([])
    let parts = 1
    while ((await organizationOf(organization)).sync.status === 'queued' && parts++ < 60)
      await inParts.run(organization.grantId, running)
    expect((await organizationOf(organization)).sync).toMatchObject({ status: 'done', users_waiting: 0, meetings: 102 })
    for (const { id } of users) expect(listsOf(id)).toBe(2) // scheduled and live, and never again
  })

  test('finds a user who came since, told of by an event, and reads nobody else again', async () => {
    const { account, admin, users, join } = newAccount(2)
    const organization = await connect(admin, tenant.headers)
    await sync(organization)
    const late = join()
    const known = users.map(({ id }) => listsOf(id))
    expect(await hear(userEvent('user.created', late.id, account))).toBe(204)
    expect(await secondsUntilDue(organization)).toBeLessThan(11)
    await sync(organization)
    expect(await mappingOf(late.meeting)).toMatchObject({ organization_id: organization.id, source: 'sync' })
    expect(users.map(({ id }) => listsOf(id))).toEqual(known)
    const before = listings()
    await sync(organization)
    expect(listings()).toBe(before) // once an account is listed, an event or the clock is needed
  })

  test('goes on with the others where one user cannot be read', async () => {
    const { admin, users } = newAccount(3)
    const organization = await connect(admin, tenant.headers)
    const [first, second, third] = users.map(({ id }) => id).sort()
    t.zoom.setFault({ match: { path: `/v2/users/${first}/` }, times: -1, action: { type: 'status', status: 500 } })
    t.zoom.setFault({
      match: { path: `/v2/users/${second}/` },
      times: -1,
      action: { type: 'status', status: 404, body: { code: 1001 } },
    })
    await sync(organization)
    const code = 'zoom_unavailable'
    expect((await organizationOf(organization)).sync).toMatchObject({ status: 'failed', code, users_waiting: 1 })
    expect(await mappingOf(String(users.find(({ id }) => id === third)?.meeting))).toMatchObject({ source: 'sync' })
    t.zoom.clearFaults()
    const reads = listsOf(String(third))
    await sync(organization)
    expect((await organizationOf(organization)).sync).toMatchObject({ status: 'done', users_waiting: 0 })
    expect(listsOf(String(third))).toBe(reads) // those who were read are not read again for the one who was not
  })

  test('ends where Zoom gives nobody’s list, and comes again', async () => {
    const { admin } = newAccount(9)
    const organization = await connect(admin, tenant.headers)
    t.zoom.setFault({
      match: { path: '^/v2/users/[^/]+/meetings' },
      times: -1,
      action: { type: 'status', status: 500 },
    })
    await sync(organization)
    const { sync: state } = await organizationOf(organization)
    expect(state).toMatchObject({ status: 'failed', code: 'zoom_unavailable', users: 10, users_waiting: 10 })
    t.zoom.clearFaults()
    await sync(organization)
    expect((await organizationOf(organization)).sync).toMatchObject({ status: 'done', users_waiting: 0 })
  })

  test('leaves the account alone for as long as Zoom says, and its bots are served', async () => {
    const { admin, users } = newAccount(3)
    const organization = await connect(admin, tenant.headers)
    const until = new Date(Date.now() + 3 * 3600 * 1000).toISOString()
    const action = { type: 'status', status: 429, body: { code: 429 }, headers: { 'retry-after': until } } as const
    t.zoom.setFault({ match: { path: '^/v2/users/[^/]+/meetings' }, times: -1, action })
    await sync(organization)
    expect((await organizationOf(organization)).sync).toMatchObject({ status: 'failed', code: 'zoom_rate_limited' })
    expect(await secondsUntilDue(organization)).toBeGreaterThan(2.9 * 3600)
    expect(told(await t.bot((await passFor(String(users[0]?.pmi))).join_token_url))).toEqual([200])
  })

  test('without the scope that lists users says so, and a bot’s question finds the meeting', async () => {
    const { admin, users } = newAccount(1)
    const scopes = ['meeting:read:local_recording_token:admin', 'meeting:read:meeting:admin']
    t.zoom.addApp({ client_id: 'simulator-account-client-id', scopes })
    onTestFinished(() => void t.zoom.addApp({ client_id: 'simulator-account-client-id', scopes: ACCOUNT_SCOPES }))
    const organization = await connect(admin, tenant.headers)
    await sync(organization)
    expect(await organizationOf(organization)).toMatchObject({
      status: 'connected',
      missing_scopes: [],
      degraded: ['profile', 'sync', 'settings'],
      sync: { status: 'done', code: 'missing_scope', users: 0 },
    })
    const meeting = String(users[0]?.meeting)
    expect(told(await t.bot((await passFor(meeting)).join_token_url))).toEqual([200])
    expect(await mappingOf(meeting)).toMatchObject({ organization_id: organization.id, source: 'lookup' })
  })

  test('maps in every tenant that connected the account, and forgets with the last of them', async () => {
    const { admin, users } = newAccount(1)
    const other = await newTenant(t)
    const meeting = String(users[0]?.meeting)
    const organization = await connect(admin, tenant.headers)
    const second = await connect(admin, other.headers)
    expect(second.grantId).toBe(organization.grantId)
    await sync(organization)
    expect(await mappingOf(meeting)).toMatchObject({ organization_id: organization.id })
    expect(await mappingOf(meeting, other)).toMatchObject({ organization_id: second.id })
    const left = () => rows(t, 'SELECT FROM account_users WHERE grant_id = $1', [organization.grantId])
    await t.api('DELETE', `/v1/organizations/${organization.id}`, { headers: tenant.headers })
    expect(await mappingOf(meeting)).toMatchObject({ code: 'not_found' })
    expect(await left()).toHaveLength(2)
    await t.api('DELETE', `/v1/organizations/${second.id}`, { headers: other.headers })
    expect(await left()).toEqual([])
    await sync(organization)
    expect(await rows(t, 'SELECT FROM grant_syncs WHERE grant_id = $1', [organization.grantId])).toEqual([])
  })

  test('leaves alone what the tenant said, and what an event said of a host it knows', async () => {
    const { account, admin, users } = newAccount(2)
    const [said, own] = users
    if (!said || !own) throw new Error('no such user')
    const { id: hostId } = await t.connectHost('own', own.email, tenant.headers)
    await t.api('PUT', `/v1/meetings/${said.meeting}`, { body: { host_id: hostId }, headers: tenant.headers })
    const organization = await connect(admin, tenant.headers)
    await sync(organization)
    expect(await mappingOf(said.meeting)).toMatchObject({ host_id: hostId, source: 'api' })
    expect(await mappingOf(own.meeting)).toMatchObject({ host_id: hostId, organization_id: null, source: 'sync' })
    const meeting = newNumber()
    await hear(meetingEvent('meeting.created', account, { id: Number(meeting), host_id: own.id }))
    expect(await mappingOf(meeting)).toMatchObject({ host_id: hostId, organization_id: null, source: 'event' })
  })
})

describe('POST /v1/organizations/{id}/sync', () => {
  test('has users and meetings read once more', async () => {
    const { admin, join } = newAccount(1)
    const organization = await connect(admin, tenant.headers)
    await sync(organization)
    const late = join()
    const asked = await t.api('POST', `/v1/organizations/${organization.id}/sync`, { headers: tenant.headers })
    expect([asked.statusCode, asked.json().sync]).toEqual([
      202,
      expect.objectContaining({ status: 'queued', users: 2 }),
    ])
    await sync(organization)
    expect(await mappingOf(late.meeting)).toMatchObject({ organization_id: organization.id })
  })

  test('is for the tenant’s own organizations, by a key that may change them', async () => {
    const { admin } = newAccount(0)
    const organization = await connect(admin, tenant.headers)
    const [other, reader] = [await newTenantWithKey(t), await newTenantWithKey(t, ['hosts:read'])]
    const url = `/v1/organizations/${organization.id}/sync`
    expect(outcomeOf(await other.call('POST', url))).toEqual([404, 'not_found'])
    expect(outcomeOf(await reader.call('POST', url))).toEqual([403, 'forbidden'])
  })
})
