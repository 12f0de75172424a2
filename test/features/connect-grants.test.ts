import { expect, test } from 'vitest'
import { buildTestApp, type TestApp } from '../helpers/app.ts'
import {
  CLIENT_ID,
  HOST,
  newTenant,
  OTHER_HOST,
  readyToReturn,
  resultOf,
  revocations,
  rows,
} from '../helpers/connect.ts'

/** Whether the vault holds the pair that Zoom would take now. */
async function canBorrow(t: TestApp, grantId: string): Promise<boolean> {
  t.zoom.expireAccessTokens()
  await rows(t, 'UPDATE grant_tokens SET access_expires_at = now()')
  const seen = await t.services.vault.withAccessToken(grantId, async (token) => token).catch(() => null)
  return seen !== null
}
const grants = (t: TestApp) => rows<{ grant_id: string; gen: string; status: string }>(t, 'SELECT * FROM grant_tokens')
const linkOf = async (t: TestApp, url: string, user: string) => (await t.follow(url, user)).statusCode

test('one Zoom user of two tenants is one grant with two hosts, and the later authorisation keeps both going', async () => {
  const t = await buildTestApp()
  const { headers } = await newTenant(t)
  expect(await linkOf(t, await t.connectLink({ external_user_id: 'a' }), HOST)).toBe(200)
  expect(await linkOf(t, await t.connectLink({ external_user_id: 'b' }, headers), HOST)).toBe(200)
  const [grant, ...others] = await grants(t)
  expect(others).toEqual([])
  expect(grant).toMatchObject({ status: 'connected', gen: '2' })
  expect(await canBorrow(t, grant?.grant_id ?? '')).toBe(true)
  const both = [await t.api('GET', '/v1/hosts'), await t.api('GET', '/v1/hosts', { headers })]
  expect(both.map((list) => list.json().data[0].status)).toEqual(['connected', 'connected'])
})

test('a tenant that deletes its host ends nothing for the other tenant of the same grant', async () => {
  const t = await buildTestApp()
  const { headers } = await newTenant(t)
  await t.connectHost('a', HOST)
  const ofB = await t.connectHost('b', HOST, headers)
  expect((await t.api('DELETE', `/v1/hosts/${ofB.id}`, { headers })).statusCode).toBe(204)
  expect(revocations(t)).toEqual([])
  expect(await canBorrow(t, (await grants(t))[0]?.grant_id ?? '')).toBe(true)
})

test.each([
  ['deauthorized', 'reconnect_required'],
  ['user_removed', 'reconnect_required'],
  ['rejected_by_zoom', 'reconnect_required'],
  ['rotation_lost', 'connected'],
  ['superseded', 'connected'],
  ['scopes_changed', 'connected'],
  ['expired', 'connected'],
  ['restored_backup', 'connected'],
])('after %s a reconnect through one tenant leaves the other’s host %s', async (reason, status) => {
  const t = await buildTestApp()
  const { headers } = await newTenant(t)
  const ofA = await t.connectHost('a', HOST)
  const ofB = await t.connectHost('b', HOST, headers)
  await rows(t, `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = $1`, [reason])
  expect(await linkOf(t, await t.connectLink({ external_user_id: 'b' }, headers), HOST)).toBe(200)
  const show = async (id: string, headers = {}) => (await t.api('GET', `/v1/hosts/${id}`, { headers })).json().status
  expect([await show(ofB.id, headers), await show(ofA.id)]).toEqual(['connected', status])
})

test('a refused flow keeps the new pair of a grant that another tenant links, and refuses only the link', async () => {
  const t = await buildTestApp()
  const { headers } = await newTenant(t)
  await t.connectHost('a', HOST)
  const session = { external_user_id: 'b', expected_email: OTHER_HOST }
  expect(await linkOf(t, await t.connectLink(session, headers), HOST)).toBe(400)
  const [grant] = await grants(t)
  expect(grant).toMatchObject({ status: 'connected', gen: '2' })
  expect(revocations(t)).toEqual([])
  expect(await canBorrow(t, grant?.grant_id ?? '')).toBe(true)
  expect((await t.api('GET', '/v1/hosts', { headers })).json().data).toEqual([])
})

test('a refused flow revokes at Zoom, and erases here, a grant that nobody links', async () => {
  const t = await buildTestApp()
  expect(await resultOf(t, { expected_email: OTHER_HOST }, HOST)).toMatchObject({ code: 'email_mismatch' })
  expect(t.zoom.liveRefreshToken(HOST, CLIENT_ID)).toBeNull()
  const [grant] = await rows(t, 'SELECT status, refresh_ct, access_ct FROM grant_tokens')
  expect(grant).toEqual({ status: 'disconnected', refresh_ct: null, access_ct: null })
})

/** The database takes no host from here on; what it gives back ends that. */
async function refuseHosts(t: TestApp) {
  await rows(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`)
  await rows(t, 'CREATE TRIGGER refuse BEFORE INSERT ON hosts FOR EACH ROW EXECUTE FUNCTION refuse()')
  return () => rows(t, 'DROP TRIGGER refuse ON hosts')
}

test('the pair is stored before anything else: where linking then fails, no page says connected and nothing is lost', async () => {
  const t = await buildTestApp()
  const { comeBack, url } = await readyToReturn(t)
  const allowHosts = await refuseHosts(t)
  const page = await comeBack()
  expect(page.statusCode).toBeGreaterThanOrEqual(500)
  expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
  expect(page.body).not.toContain('is connected')
  await allowHosts()
  expect(await grants(t)).toMatchObject([{ status: 'connected', gen: '1' }])
  expect(revocations(t)).toEqual([])
  expect(await linkOf(t, url, HOST)).toBe(200) // the session was given back
})

test('an unexpected failure reaches a return URL as connect_failed', async () => {
  const t = await buildTestApp()
  const { comeBack } = await readyToReturn(t, { return_url: 'https://app.example.com/' })
  await refuseHosts(t)
  const sent = await comeBack()
  expect([sent.statusCode, sent.headers.location]).toEqual([
    302,
    'https://app.example.com/?status=failed&code=connect_failed',
  ])
  expect(t.log.some((line) => line.includes('"level":"error"'))).toBe(true)
})

test('of two successes of one session the first links, the second does not, whoever they are', async () => {
  const t = await buildTestApp()
  for (const [session, user] of [
    [{ external_user_id: 'same' }, HOST],
    [{ external_user_id: 'other' }, OTHER_HOST],
  ] as const) {
    const { url, comeBack } = await readyToReturn(t, session, HOST)
    // this callback waits for Zoom while the link is opened again and followed to its end
    const held = t.zoom.setFault({ match: { path: '/v2/users/me' }, action: { type: 'hold' } })
    const late = comeBack()
    await held.hit()
    expect(await linkOf(t, url, user)).toBe(200)
    held.release()
    const refused = await late
    expect([refused.statusCode, refused.body.includes('<dd>connect_failed</dd>')]).toEqual([400, true])
    const [host] = (await t.api('GET', `/v1/hosts?external_user_id=${session.external_user_id}`)).json().data
    expect(host).toMatchObject({ email: user, status: 'connected' })
    expect(t.zoom.liveRefreshToken(user, CLIENT_ID)).not.toBeNull()
  }
  expect(await rows(t, 'SELECT 1 FROM connect_sessions WHERE spent_at IS NOT NULL')).toHaveLength(2)
})

test('a refused link leaves the session usable for the right account', async () => {
  const t = await buildTestApp()
  await t.connectHost('user-1', HOST)
  const url = await t.connectLink({ external_user_id: 'user-1' })
  expect(await linkOf(t, url, OTHER_HOST)).toBe(400)
  expect(await linkOf(t, url, HOST)).toBe(200)
  expect(await linkOf(t, url, HOST).catch(() => 400)).toBe(400)
})

test.each(['before', 'after'] as const)(
  'a refresh that Zoom handles %s a reconnect neither overwrites nor condemns the new pair',
  async (effect) => {
    const t = await buildTestApp()
    const host = await t.connectHost('user-1', HOST)
    const [before] = await grants(t)
    const grantId = before?.grant_id ?? ''
    await rows(t, 'UPDATE grant_tokens SET access_expires_at = now()')
    const match = { grant_type: 'refresh_token' }
    const held = t.zoom.setFault({ match, effect, action: { type: 'hold' } })
    const borrowing = t.services.vault.withAccessToken(grantId, async (token) => token).catch(() => null)
    await held.hit()
    expect(await linkOf(t, await t.connectLink({ external_user_id: 'user-1' }), HOST)).toBe(200)
    held.release()
    await borrowing
    expect(await grants(t)).toMatchObject([{ status: 'connected', gen: '2' }])
    expect(await canBorrow(t, grantId)).toBe(true)
    expect((await t.api('GET', `/v1/hosts/${host.id}`)).json()).toMatchObject({ status: 'connected' })
  },
)
