import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { seedHost, seedOrganization, unique } from '../helpers/management.ts'
import { grantRow, newVaultHost, type VaultHost } from '../helpers/vault.ts'
import { deauthorization, userEvent, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET } })
afterAll(() => t.stop())
beforeEach(() => rows(t, 'DELETE FROM zoom_events'))

const DEFAULT_TENANT = '00000000-0000-7000-8000-000000000001'

async function tell(event: object | string) {
  expect((await zoomSends(t, event)).statusCode).toBe(204)
  await t.services.zoomEvents.processAcrossTenants()
}
/** A host at Zoom, without tokens. */
async function seeded() {
  const [user, account] = [unique(), unique()]
  const host = await seedHost(t, DEFAULT_TENANT, unique(), { zoomUserId: user, zoomAccountId: account })
  return { user, account, ...host }
}
const whose = async ({ grantId }: Pick<VaultHost, 'grantId'>) => {
  const found = await rows<{ user: string; account: string }>(
    t,
    'SELECT zoom_user_id AS user, zoom_account_id AS account FROM grants WHERE id = $1',
    [grantId],
  )
  return found[0] as { user: string; account: string }
}
const statusOf = async (hostId: string) => {
  const { status, status_reason: reason } = (await t.api('GET', `/v1/hosts/${hostId}`)).json()
  return [status, reason]
}
const inbox = () =>
  rows<{ outcome: string | null; attempts: number; payload_ct: Buffer | null }>(
    t,
    'SELECT outcome, attempts, payload_ct FROM zoom_events ORDER BY received_at',
  )

describe('of two events about one user', () => {
  test('the later counts, in whatever order they come', async () => {
    const [kept, blocked] = [await seeded(), await seeded()]
    const [earlier, later] = [new Date(), new Date(Date.now() + 1)]
    await tell(userEvent('user.activated', kept.user, kept.account, later))
    await tell(userEvent('user.deactivated', kept.user, kept.account, earlier))
    expect(await statusOf(kept.id)).toEqual(['connected', null])
    await tell(userEvent('user.deactivated', blocked.user, blocked.account, later))
    await tell(userEvent('user.activated', blocked.user, blocked.account, earlier))
    expect(await statusOf(blocked.id)).toEqual(['blocked', 'user_deactivated'])
  })

  test('one that comes after the removal of the app says nothing of it any more', async () => {
    const { id, user, account, grantId } = await seeded()
    const removal = deauthorization(user, account)
    await tell(removal)
    await tell(userEvent('user.deactivated', user, account))
    await tell(userEvent('user.deleted', user, account))
    await tell(`${JSON.stringify(removal)} `) // the same removal, written in another way
    expect(await statusOf(id)).toEqual(['reconnect_required', 'deauthorized'])
    expect(await rows(t, 'SELECT gen::int FROM grant_tokens WHERE grant_id = $1', [grantId])).toEqual([{ gen: 2 }])
    expect(await rows(t, 'SELECT FROM audit_events WHERE subject_id = $1', [grantId])).toHaveLength(1)
  })

  test('one without a readable time happened when it came', async () => {
    const { id, user, account } = await seeded()
    await tell({ ...userEvent('user.deactivated', user, account), event_ts: null })
    expect(await statusOf(id)).toEqual(['blocked', 'user_deactivated'])
  })
})

test('a user who was erased in the middle of a consent is erased again when he removes the app again', async () => {
  const host = await newVaultHost(t)
  const { user, account } = await whose(host)
  await tell(deauthorization(user, account))
  // as if the event had come between the look for the pseudonym and the upsert: the user has a second row
  await rows(
    t,
    `INSERT INTO grants (id, zoom_app_id, zoom_user_id, scopes)
     SELECT gen_random_uuid(), zoom_app_id, $2, '{}' FROM grants WHERE id = $1`,
    [host.grantId, user],
  )
  for (let round = 0; round < 2; round++) {
    expect(await t.connectHost(host.externalUserId, host.email)).toMatchObject({ id: host.hostId, status: 'connected' })
    await tell(deauthorization(user, account))
    expect(await statusOf(host.hostId)).toEqual(['reconnect_required', 'deauthorized'])
    expect(await rows(t, 'SELECT FROM grants WHERE zoom_user_id = $1 OR email = $2', [user, host.email])).toEqual([])
  }
})

/** Somebody waits for a lock of this database. */
const isWaiting = async () => (await rows(t, 'SELECT FROM pg_locks WHERE NOT granted')).length > 0

test('a pair that a new consent stores while an older event looks at the grant stays', async () => {
  const { id, user, account, grantId } = await seeded()
  const consent = await t.admin.connect()
  await consent.query('BEGIN')
  await consent.query(`UPDATE grants SET connected_at = now() + interval '1 minute' WHERE id = $1`, [grantId])
  await consent.query('UPDATE grant_tokens SET gen = gen + 1 WHERE grant_id = $1', [grantId])
  const told = tell(deauthorization(user, account))
  await expect.poll(isWaiting).toBe(true)
  await consent.query('COMMIT')
  consent.release()
  await told
  expect(await statusOf(id)).toEqual(['connected', null])
  expect(await inbox()).toMatchObject([{ outcome: 'older' }])
})

test('a consent that meets another one of the same returning user is stored all the same', async () => {
  const host = await newVaultHost(t)
  const { user, account } = await whose(host)
  await tell(deauthorization(user, account))
  const other = await t.admin.connect()
  await other.query('BEGIN')
  await other.query(
    `INSERT INTO grants (id, zoom_app_id, zoom_user_id, scopes)
     SELECT gen_random_uuid(), zoom_app_id, $2, '{}' FROM grants WHERE id = $1`,
    [host.grantId, user],
  )
  const connected = t.connectHost(host.externalUserId, host.email)
  await expect.poll(isWaiting).toBe(true)
  await other.query('COMMIT')
  other.release()
  expect(await connected).toMatchObject({ id: host.hostId, status: 'connected' })
})

test('a removal from a whole account takes the organization’s found meetings, and none of the admin’s own host', async () => {
  const { id: tenantId } = await newTenant(t)
  const [account, clientId] = [unique(), unique()]
  const body = {
    client_id: clientId,
    client_secret: 's',
    kind: 'account',
    tenant_id: tenantId,
    webhook_secret_token: 'w',
  }
  const app = (await t.api('POST', '/v1/zoom-apps', { body })).json()
  const organization = await seedOrganization(t, tenantId, account)
  await rows(t, 'UPDATE grants SET zoom_app_id = $1 WHERE id = $2', [app.id, organization.grantId])
  await seedHost(t, tenantId, 'admin') // seedOrganization links it by the same external id
  await rows(
    t,
    `INSERT INTO meetings (id, tenant_id, meeting_id, external_user_id, organization_id, source) VALUES
       (gen_random_uuid(), $1, '111111111', NULL, $2, 'event'), (gen_random_uuid(), $1, '222222222', NULL, $2, 'api'),
       (gen_random_uuid(), $1, '333333333', 'admin', NULL, 'event')`,
    [tenantId, organization.id],
  )
  const event = deauthorization('an-admin', account, new Date(), clientId)
  expect((await zoomSends(t, event, { path: `/zoom/webhook/${app.id}`, secret: 'w' })).statusCode).toBe(204)
  await t.services.zoomEvents.processAcrossTenants()
  const left = await rows(t, 'SELECT meeting_id FROM meetings WHERE tenant_id = $1 ORDER BY 1', [tenantId])
  expect(left).toEqual([{ meeting_id: '222222222' }, { meeting_id: '333333333' }])
})

test('a grant that was let go without being revoked is not revoked after an event either', async () => {
  const host = await newVaultHost(t)
  const { user, account } = await whose(host)
  await t.api('DELETE', `/v1/hosts/${host.hostId}?revoke=false`)
  await tell(deauthorization(user, account))
  const [row] = await rows(t, 'SELECT status, lease_owner FROM grant_tokens WHERE grant_id = $1', [host.grantId])
  expect(row).toEqual({ status: 'disconnected', lease_owner: 'kept_at_zoom' })
  expect((await grantRow(t, host)).status).toBe('disconnected')
})

test('an event that cannot be processed is kept with what it says, and is done once it can be', async () => {
  const { id, user, account } = await seeded()
  await rows(t, `ALTER TABLE grants ADD CONSTRAINT no_erasing CHECK (zoom_user_id NOT LIKE 'erased:%') NOT VALID`)
  await zoomSends(t, deauthorization(user, account))
  for (let tries = 0; tries < 12; tries++) {
    await t.services.zoomEvents.processAcrossTenants()
    await rows(t, 'UPDATE zoom_events SET claimed_until = NULL WHERE processed_at IS NULL')
  }
  expect(await inbox()).toEqual([{ outcome: 'failed', attempts: 10, payload_ct: expect.any(Buffer) }])
  expect(await statusOf(id)).toEqual(['connected', null])
  // mended, and asked for once more as the runbook says
  await rows(t, 'ALTER TABLE grants DROP CONSTRAINT no_erasing')
  await rows(t, `UPDATE zoom_events SET processed_at = NULL, outcome = NULL, attempts = 0 WHERE outcome = 'failed'`)
  await t.services.zoomEvents.processAcrossTenants()
  expect(await inbox()).toMatchObject([{ outcome: 'applied', payload_ct: null }])
  expect(await statusOf(id)).toEqual(['reconnect_required', 'deauthorized'])
})

test('an event that the database keeps from its effect, however often, is not given up', async () => {
  const { id, user, account } = await seeded()
  await rows(
    t,
    `CREATE FUNCTION is_away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '57P01'; END $$`,
  )
  await rows(t, 'CREATE TRIGGER away BEFORE UPDATE ON grant_tokens FOR EACH STATEMENT EXECUTE FUNCTION is_away()')
  await zoomSends(t, deauthorization(user, account))
  for (let tries = 0; tries < 15; tries++) {
    await t.services.zoomEvents.processAcrossTenants()
    await rows(t, 'UPDATE zoom_events SET claimed_until = NULL WHERE processed_at IS NULL')
  }
  expect(await inbox()).toMatchObject([{ outcome: null }])
  await rows(t, 'DROP TRIGGER away ON grant_tokens')
  await t.services.zoomEvents.processAcrossTenants()
  expect(await statusOf(id)).toEqual(['reconnect_required', 'deauthorized'])
})
