import { afterAll, beforeEach, expect, test } from 'vitest'
import { createAccountStore } from '../../src/features/meetings/account-store.ts'
import { accountWorld, UNHURRIED } from '../helpers/account.ts'
import { startTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { newNumber } from '../helpers/meeting-events.ts'
import { told } from '../helpers/vault.ts'
import { userEvent } from '../helpers/zoom-events.ts'

const t = await startTestApp()
afterAll(() => t.stop())
const { sync, hear, newAccount, connect, organizationOf, mappingOf, passFor } = await accountWorld(t)
const accounts = createAccountStore(t.app.sql)

let tenant: Awaited<ReturnType<typeof newTenant>>
beforeEach(async () => {
  tenant = await newTenant(t)
  t.zoom.setModes(UNHURRIED)
})

const usersOf = ({ grantId }: { grantId: string }) =>
  rows(t, 'SELECT zoom_user_id FROM account_users WHERE grant_id = $1', [grantId])

test('a tenant that connected the admin’s former account gets nothing of the one that the admin is in now', async () => {
  const other = await newTenant(t)
  const former = newAccount(1)
  const organization = await connect(former.admin, tenant.headers)
  const kept = await connect(former.admin, other.headers)
  const next = newAccount(1)
  t.zoom.addUser({ id: former.admin.id, account_id: next.account })
  await connect(former.admin, tenant.headers)
  await sync(organization)
  const meeting = String(next.users[0]?.meeting)
  expect(await mappingOf(meeting, tenant.headers)).toMatchObject({ organization_id: organization.id })
  expect(await mappingOf(meeting, other.headers)).toMatchObject({ code: 'not_found' })
  const asked = async (target: object) => {
    await t.api('PUT', `/v1/meetings/${meeting}`, { body: target, headers: other.headers })
    return told(await t.bot((await passFor(meeting, other.headers)).join_token_url))
  }
  expect(told(await t.bot((await passFor(meeting, other.headers)).join_token_url))[0]).toBe(404)
  expect((await asked({ organization_id: kept.id }))[0]).toBe(404)
})

test('an organization whose sync a replica of the former version threw away is read again', async () => {
  const { admin } = newAccount(1)
  const organization = await connect(admin, tenant.headers)
  await rows(t, 'DELETE FROM grant_syncs WHERE grant_id = $1', [organization.grantId])
  expect((await organizationOf(organization, tenant.headers)).sync).toMatchObject({ status: 'never' })
  await t.services.meetingSync.purgeAcrossTenants()
  expect((await organizationOf(organization, tenant.headers)).sync).toMatchObject({ status: 'queued' })
})

test('a user who comes while the last of the others is read is not forgotten: the account is due again at once', async () => {
  const { account, admin, join, users } = newAccount(1)
  const organization = await connect(admin, tenant.headers)
  const [last] = [admin.id, String(users[0]?.id)].sort().reverse()
  const path = `/v2/users/${last}/meetings`
  const held = t.zoom.setFault({ match: { path }, action: { type: 'hold' }, times: 1, effect: 'before' })
  const syncing = sync(organization)
  await held.hit()
  const late = join()
  await hear(userEvent('user.created', late.id, account))
  held.release()
  await syncing
  expect((await organizationOf(organization, tenant.headers)).sync).toMatchObject({ status: 'queued' })
  await sync(organization)
  expect(await mappingOf(late.meeting, tenant.headers)).toMatchObject({ organization_id: organization.id })
})

test('a page of users that arrives after the app was taken away is kept nowhere, and the sweep clears what was', async () => {
  const { account, admin } = newAccount(1)
  const organization = await connect(admin, tenant.headers)
  await hear({
    event: 'app_deauthorized',
    event_ts: Date.now(),
    payload: { account_id: account, user_id: admin.id, client_id: 'simulator-account-client-id' },
  })
  const users = [{ zoomUserId: 'late', pmi: null }]
  await accounts.listed(organization.grantId, { users, at: new Date(), since: new Date(0) })
  expect(await usersOf(organization)).toEqual([])
  await rows(
    t,
    `INSERT INTO account_users (grant_id, zoom_user_id, has_pmi, listed_at) VALUES ($1, 'late', false, now())`,
    [organization.grantId],
  )
  const findings = async () => (await t.services.erasure.verifyAcrossTenants()).map(({ table }) => table)
  expect(await findings()).toContain('account_users')
  await t.services.erasure.sweepAcrossTenants()
  expect(await findings()).not.toContain('account_users')
})

test('what an event told of before we noted whose of the account a meeting is becomes the host’s all the same', async () => {
  const { admin, users } = newAccount(1)
  const [user] = users
  if (!user) throw new Error('no such user')
  const organization = await connect(admin, tenant.headers)
  const stored = `INSERT INTO meetings (id, tenant_id, meeting_id, organization_id, source)
                  VALUES (gen_random_uuid(), $1, $2, $3, 'event')`
  await rows(t, stored, [tenant.id, user.meeting, organization.id])
  await sync(organization)
  expect(await mappingOf(user.meeting, tenant.headers)).toMatchObject({ source: 'event', zoom_user_id: user.id })
  const { id: hostId } = await t.connectHost('user', user.email, tenant.headers)
  expect(await mappingOf(user.meeting, tenant.headers)).toMatchObject({ source: 'event', host_id: hostId })
})

test('a link under a consent that ended is told nothing, and asks Zoom for nothing', async () => {
  const { admin } = newAccount(2)
  const organization = await connect(admin, tenant.headers)
  await sync(organization)
  await rows(t, 'UPDATE grant_tokens SET consent_epoch = consent_epoch + 1 WHERE grant_id = $1', [organization.grantId])
  const asked = await t.api('POST', `/v1/organizations/${organization.id}/sync`, { headers: tenant.headers })
  expect([asked.statusCode, asked.json().sync]).toEqual([202, expect.objectContaining({ status: 'never', users: 0 })])
  const before = t.zoom.log().length
  await sync(organization)
  expect(t.zoom.log().length).toBe(before)
  t.zoom.addMeeting({ id: newNumber(), host: admin.email })
})
