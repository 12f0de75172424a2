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

const OLD_SECRET = 'the-secret-before-the-rotation'
const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: `${WEBHOOK_SECRET},${OLD_SECRET}` } })
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
const rowCount = async () => (await rows(t, 'SELECT FROM zoom_events')).length

describe('an event', () => {
  test('is taken with a good signature, and with that of the former secret', async () => {
    const event = { event: 'meeting.started', event_ts: Date.now(), payload: {} }
    expect((await zoomSends(t, event)).statusCode).toBe(204)
    expect((await zoomSends(t, event, { secret: OLD_SECRET })).statusCode).toBe(204)
  })

  test.each<[string, Parameters<typeof zoomSends>[2]]>([
    ['another secret', { secret: 'another' }],
    ['a timestamp of more than two hours ago', { timestamp: Math.floor(Date.now() / 1000) - 7300 }],
    ['a timestamp of more than five minutes ahead', { timestamp: Math.floor(Date.now() / 1000) + 400 }],
    ['no signature', { headers: { 'x-zm-signature': '' } }],
  ])('with %s is 401, and nothing is kept', async (_, options) => {
    const before = await rowCount()
    const answer = await zoomSends(t, deauthorization('user', 'account'), options)
    expect([answer.statusCode, answer.json().code]).toEqual([401, 'unauthenticated'])
    expect(await rowCount()).toBe(before)
  })

  test.each<[string, object | string]>([
    ['that is not JSON', 'hello'],
    ['without a payload', { event: 'app_deauthorized' }],
    ['with fields of wrong types', { event: 'user.deleted', payload: { object: { id: 5 } } }],
    ['of a name that nobody knows', { event: 'moon.landed', payload: { object: { id: 'x' } } }],
    [
      'with a thousand fields more',
      { event: 'user.deleted', payload: Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`f${i}`, i])) },
    ],
    ['that is null', 'null'],
  ])('%s is acknowledged and ignored', async (_, event) => {
    expect((await zoomSends(t, event)).statusCode).toBe(204)
  })

  test('about a user nobody knows is acknowledged, and changes nothing', async () => {
    expect((await zoomSends(t, deauthorization(unique(), unique()))).statusCode).toBe(204)
    await settled()
    expect((await outcomes()).at(-1)).toBe('unknown_user')
  })

  test('larger than 256 KiB is 413; of another type than JSON 415', async () => {
    expect((await zoomSends(t, { event: 'x', payload: 'y'.repeat(270_000) })).statusCode).toBe(413)
    expect((await zoomSends(t, 'x', { headers: { 'content-type': 'text/plain' } })).statusCode).toBe(415)
  })

  test('of an unknown Zoom app, or of one without a secret, is 404', async () => {
    const path = '/zoom/webhook/01890000-0000-7000-8000-000000000000'
    expect((await zoomSends(t, { event: 'x' }, { path })).statusCode).toBe(404)
    const bare = await startTestApp()
    expect((await zoomSends(bare, { event: 'x' })).statusCode).toBe(404)
    await bare.stop()
  })

  test('of a tenant’s own app comes under the app’s id, with its own secret alone', async () => {
    const tenant = await newTenant(t)
    const body = { client_id: unique(), client_secret: 's', webhook_secret_token: 'first', tenant_id: tenant.id }
    const { id } = (await t.api('POST', '/v1/zoom-apps', { body })).json()
    const path = `/zoom/webhook/${id}`
    expect((await zoomSends(t, { event: 'x' }, { path, secret: 'first' })).statusCode).toBe(204)
    expect((await zoomSends(t, { event: 'x' }, { path })).statusCode).toBe(401)
    await t.api('PATCH', `/v1/zoom-apps/${id}`, { body: { webhook_secret_token: 'second' } })
    expect((await zoomSends(t, { event: 'x' }, { path, secret: 'first' })).statusCode).toBe(204)
    expect((await zoomSends(t, { event: 'x' }, { path, secret: 'second' })).statusCode).toBe(204)
    await t.api('PATCH', `/v1/zoom-apps/${id}`, { body: { drop_previous: true } })
    expect((await zoomSends(t, { event: 'x' }, { path, secret: 'first' })).statusCode).toBe(401)
  })
})

describe('a validation of the endpoint', () => {
  const ask = (plainToken: unknown) => ({
    event: 'endpoint.url_validation',
    payload: { plainToken },
    event_ts: Date.now(),
  })

  test('is answered with the token under the secret, and noted', async () => {
    const answer = await zoomSends(t, ask('qgg8vlvZRS6UYooatFL8Aw'))
    expect(answer.statusCode).toBe(200)
    expect(Object.keys(answer.json())).toEqual(['plainToken', 'encryptedToken'])
    expect(answer.json().encryptedToken).toMatch(/^[0-9a-f]{64}$/)
    await until(
      async () => (await rows(t, 'SELECT FROM zoom_apps WHERE webhook_validated_at IS NOT NULL')).length,
    ).toBe(1)
  })

  test.each(['', 'x'.repeat(101), 'a b', 'ä', 5, null, 'v0:1700000000:{"event":"app_deauthorized"}\n'])(
    'with %j in place of a token signs nothing: the route is no oracle',
    async (plainToken) => {
      const answer = await zoomSends(t, ask(plainToken))
      expect([answer.statusCode, answer.body]).toEqual([204, ''])
    },
  )

  test('is refused without a good signature', async () => {
    expect((await zoomSends(t, ask('token'), { secret: 'another' })).statusCode).toBe(401)
  })

  test('that has not come for four days is an alarm', async () => {
    await rows(
      t,
      `UPDATE zoom_apps SET webhook_validated_at = now() - interval '5 days' WHERE webhook_validated_at IS NOT NULL`,
    )
    await t.services.zoomEvents.findSilenceAcrossTenants()
    expect(t.log.some((line) => line.includes('has not validated the webhook endpoint'))).toBe(true)
  })
})

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
  const held = await t.app.pools.main.connect()
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
