import { afterAll, describe, expect, test } from 'vitest'
import { startTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { unique } from '../helpers/management.ts'
import {
  expireAccessToken,
  grantRow,
  newVaultHost,
  refreshFault,
  secondReplica,
  told,
  type VaultHost,
} from '../helpers/vault.ts'
import { deauthorization, userEvent, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET } })
afterAll(() => t.stop())

/** Who the host is at Zoom. */
async function whose({ grantId }: VaultHost) {
  const [row] = await rows<{ user: string; account: string }>(
    t,
    'SELECT zoom_user_id AS user, zoom_account_id AS account FROM grants WHERE id = $1',
    [grantId],
  )
  if (!row) throw new Error('no grant')
  return row
}
const statusOf = async ({ hostId }: VaultHost, headers = {}) => {
  const { status, status_reason } = (await t.api('GET', `/v1/hosts/${hostId}`, { headers })).json()
  return [status, status_reason]
}
/** In effect: the worker that starts with the answer has done it. */
const until = (check: () => unknown) => expect.poll(check, { timeout: 5000, interval: 20 })
const outcomes = async () =>
  (await rows<{ outcome: string }>(t, 'SELECT outcome FROM zoom_events ORDER BY received_at')).map(
    ({ outcome }) => outcome,
  )
const settled = async () => await t.services.zoomEvents.processAcrossTenants()

describe('app_deauthorized', () => {
  test('ends the grant at once: the next bot gets reconnect_required, and nobody asks Zoom', async () => {
    const host = await newVaultHost(t)
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
    const { user, account } = await whose(host)
    const calls = t.zoom.log({}).length
    expect((await zoomSends(t, deauthorization(user, account))).statusCode).toBe(204)
    await until(() => statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
    expect(told(await t.bot(host.joinUrl))).toEqual([404, 'reconnect_required'])
    expect(t.zoom.log({}).length).toBe(calls)
  })

  test('four times changes the grant once', async () => {
    const host = await newVaultHost(t)
    const { user, account } = await whose(host)
    const event = deauthorization(user, account)
    for (let delivery = 0; delivery < 4; delivery++) expect((await zoomSends(t, event)).statusCode).toBe(204)
    await until(() => statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
    await settled()
    expect((await grantRow(t, host)).gen).toBe(2)
    expect((await rows(t, `SELECT FROM audit_events WHERE subject_id = $1`, [host.grantId])).length).toBe(1)
  })

  test('ends the hosts of every tenant that shares the grant, and no other grant', async () => {
    const [host, bystander] = [await newVaultHost(t), await newVaultHost(t)]
    const tenant = await newTenant(t)
    const theirs = await t.connectHost(unique(), host.email, tenant.headers)
    const { user, account } = await whose(host)
    await zoomSends(t, deauthorization(user, account))
    await until(() => statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
    const shown = (await t.api('GET', `/v1/hosts/${theirs.id}`, { headers: tenant.headers })).json()
    expect([shown.status, shown.status_reason, shown.email, shown.zoom_user_id]).toEqual([
      'reconnect_required',
      'deauthorized',
      null,
      null,
    ])
    expect(await statusOf(bystander)).toEqual(['connected', null])
  })

  test('of another app’s client id, or another account, touches nothing', async () => {
    const host = await newVaultHost(t)
    const { user, account } = await whose(host)
    await zoomSends(t, deauthorization(user, account, new Date(), 'another-client'))
    await zoomSends(t, deauthorization(user, 'another-account'))
    await settled()
    expect((await outcomes()).slice(-2).sort()).toEqual(['other_app', 'unknown_user'])
    expect(await statusOf(host)).toEqual(['connected', null])
  })

  test('that is older than the user’s latest consent is ignored', async () => {
    const host = await newVaultHost(t)
    const { user, account } = await whose(host)
    await zoomSends(t, deauthorization(user, account, new Date(Date.now() - 60_000)))
    await settled()
    expect((await outcomes()).at(-1)).toBe('older')
    expect(await statusOf(host)).toEqual(['connected', null])
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
  })

  test('and a new consent: the host has its id again, its name, and mints; other tenants’ hosts wait for a consent of their own', async () => {
    const host = await newVaultHost(t)
    const tenant = await newTenant(t)
    const theirs = await t.connectHost(unique(), host.email, tenant.headers)
    const { user, account } = await whose(host)
    await zoomSends(t, deauthorization(user, account))
    await until(() => statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
    const again = await t.connectHost(host.externalUserId, host.email)
    expect(again).toMatchObject({ id: host.hostId, status: 'connected', zoom_user_id: user, email: host.email })
    expect(await whose(host)).toEqual({ user, account })
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
    const shown = (await t.api('GET', `/v1/hosts/${theirs.id}`, { headers: tenant.headers })).json()
    expect([shown.status, shown.status_reason]).toEqual(['reconnect_required', 'deauthorized'])
  })

  test('that lands in the middle of a new consent costs no later one: the pair is stored each time', async () => {
    const host = await newVaultHost(t)
    const { user, account } = await whose(host)
    await zoomSends(t, deauthorization(user, account))
    await until(() => statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
    // as if the event had come between the look for the pseudonym and the upsert: the user has a second row
    await rows(
      t,
      `INSERT INTO grants (id, zoom_app_id, zoom_user_id, scopes)
       SELECT gen_random_uuid(), zoom_app_id, $2, '{}' FROM grants WHERE id = $1`,
      [host.grantId, user],
    )
    for (let again = 0; again < 2; again++)
      expect(await t.connectHost(host.externalUserId, host.email)).toMatchObject({
        id: host.hostId,
        status: 'connected',
      })
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
  })

  test('does not let another Zoom user take the place of the one who left', async () => {
    const host = await newVaultHost(t)
    const { user, account } = await whose(host)
    await zoomSends(t, deauthorization(user, account))
    await until(() => statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
    const email = `${unique()}@example.com`
    t.zoom.addUser({ email })
    const answer = await t.follow(await t.connectLink({ external_user_id: host.externalUserId }), email)
    expect(answer.statusCode).toBe(400)
    expect(await statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
  })

  test('is not undone by a refresh that was in flight', async () => {
    const host = await newVaultHost(t)
    const { user, account } = await whose(host)
    await expireAccessToken(t, host)
    refreshFault(t, host, { type: 'hold' })
    const waiting = t.bot(host.joinUrl)
    await until(async () => (await grantRow(t, host)).isIntentOpen).toBe(true)
    await zoomSends(t, deauthorization(user, account))
    await until(() => statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
    t.zoom.release()
    expect(told(await waiting)).toEqual([404, 'reconnect_required'])
    await until(async () => (await grantRow(t, host)).isIntentOpen).toBe(false)
    expect(await statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
    const [tokens] = await rows(t, 'SELECT refresh_ct, access_ct FROM grant_tokens WHERE grant_id = $1', [host.grantId])
    expect(tokens).toEqual({ refresh_ct: null, access_ct: null })
    t.zoom.clearFaults()
  })

  test('on one replica stops the next mint on every other', async () => {
    const other = await secondReplica(t)
    const host = await newVaultHost(t)
    expect(told(await other.bot(host.joinUrl))).toEqual([200])
    const { user, account } = await whose(host)
    await zoomSends(t, deauthorization(user, account))
    await until(() => statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
    expect(told(await other.bot(host.joinUrl))).toEqual([404, 'reconnect_required'])
    await other.app.close()
  })
})

describe('an account-level app', () => {
  test('that is removed from an account ends the grants of that account alone', async () => {
    const clientId = unique()
    t.zoom.addApp({
      client_id: clientId,
      client_secret: 's',
      kind: 'account',
      redirect_uris: ['http://localhost:4000/zoom/oauth/callback'],
    })
    const body = { client_id: clientId, client_secret: 's', kind: 'account', webhook_secret_token: 'whole' }
    const { id } = (await t.api('POST', '/v1/zoom-apps', { body })).json()
    const [account, otherAccount] = [unique(), unique()]
    const organizations = []
    for (const accountId of [account, otherAccount]) {
      const email = `${unique()}@example.com`
      t.zoom.addUser({ email, account_id: accountId })
      await t.follow(await t.connectLink({ external_user_id: email, kind: 'organization' }), email)
      const found = (await t.api('GET', '/v1/organizations')).json().data
      organizations.push(found.find((one: { external_user_id: string }) => one.external_user_id === email))
    }
    const event = deauthorization('another-admin', account, new Date(), clientId)
    await zoomSends(t, event, { path: `/zoom/webhook/${id}`, secret: 'whole' })
    await settled()
    const states = await Promise.all(
      organizations.map(async (one) => (await t.api('GET', `/v1/organizations/${one.id}`)).json().status_reason),
    )
    expect(states).toEqual(['deauthorized', null])
  })
})

describe('a user', () => {
  test('who is deactivated is blocked, and let in again when activated', async () => {
    const host = await newVaultHost(t)
    const { user, account } = await whose(host)
    await zoomSends(t, userEvent('user.deactivated', user, account))
    await until(() => statusOf(host)).toEqual(['blocked', 'user_deactivated'])
    expect(told(await t.bot(host.joinUrl))).toEqual([404, 'host_blocked'])
    await zoomSends(t, userEvent('user.activated', user, account))
    await until(() => statusOf(host)).toEqual(['connected', null])
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
  })

  test.each(['user.deleted', 'user.disassociated'])('of %s is gone: tokens and data too', async (name) => {
    const host = await newVaultHost(t)
    const { user, account } = await whose(host)
    await zoomSends(t, userEvent(name, user, account))
    await until(() => statusOf(host)).toEqual(['reconnect_required', 'user_removed'])
    const shown = (await t.api('GET', `/v1/hosts/${host.hostId}`)).json()
    expect([shown.email, shown.display_name, shown.zoom_user_id, shown.zoom_account_id]).toEqual([
      null,
      null,
      null,
      null,
    ])
  })
})

test('an event that cannot be done at once stays in hand, and is done as soon as it can', async () => {
  const host = await newVaultHost(t)
  const { user, account } = await whose(host)
  const held = await t.admin.connect()
  await held.query('BEGIN')
  await held.query('SELECT FROM grants WHERE id = $1 FOR UPDATE', [host.grantId])
  await zoomSends(t, deauthorization(user, account))
  await until(
    async () => (await rows(t, 'SELECT FROM zoom_events WHERE claimed_until > now() AND processed_at IS NULL')).length,
  ).toBe(1)
  expect(await statusOf(host)).toEqual(['connected', null])
  await held.query('ROLLBACK')
  held.release()
  await until(() => statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
})

test('deauthorisation leaves no token and no personal data of that user in a dump of the database', async () => {
  const host = await newVaultHost(t)
  t.zoom.addUser({ email: host.email, display_name: 'Zaphod Beeblebrox' })
  await t.connectHost(host.externalUserId, host.email) // its name is known now
  await t.api('POST', '/v1/connect-sessions', {
    body: { external_user_id: host.externalUserId, expected_email: host.email, expires_in_seconds: 604_800 },
  })
  const { user, account } = await whose(host)
  const before = await dump()
  for (const trace of [host.email, 'Zaphod', user]) expect(before).toContain(trace)
  const [tokens] = await rows<{ refresh: string; access: string }>(
    t,
    `SELECT encode(refresh_ct, 'hex') AS refresh, encode(access_ct, 'hex') AS access FROM grant_tokens WHERE grant_id = $1`,
    [host.grantId],
  )
  await zoomSends(t, deauthorization(user, account))
  await until(() => statusOf(host)).toEqual(['reconnect_required', 'deauthorized'])
  await settled()
  await t.services.dispatch.dispatchAcrossTenants(new AbortController().signal)
  const after = await dump()
  for (const trace of [host.email, 'Zaphod', user, String(tokens?.refresh), String(tokens?.access)])
    expect(after).not.toContain(trace)
  expect(after).toContain('grant.erased')
})

/** Every column of every row as text, which is what pg_dump writes. */
async function dump(): Promise<string> {
  const tables = await rows<{ name: string }>(
    t,
    `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
      WHERE schemaname IN ('public', 'pgboss')`,
  )
  const texts = await Promise.all(tables.map(({ name }) => rows(t, `SELECT r::text FROM ${name} r`)))
  return JSON.stringify(texts)
}
