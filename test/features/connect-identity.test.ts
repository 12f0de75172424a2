import { expect, test } from 'vitest'
import { buildTestApp, type TestApp } from '../helpers/app.ts'
import {
  CLIENT_ID,
  HOST,
  HOST_ID,
  newTenant,
  OTHER_HOST,
  readyToReturn,
  resultOf,
  revocations,
  rows,
} from '../helpers/connect.ts'

const GUIDE_SCOPES = ['meeting:read:local_recording_token', 'user:read:token', 'user:read:zak']
const ME = '/v2/users/me'
const hosts = async (t: TestApp, headers = {}) => (await t.api('GET', '/v1/hosts', { headers })).json().data
const failed = (code: string) => ({ status: 'failed', code })

test('with the scopes of Recall’s guide alone the token’s claims identify the user; e-mail and name stay null', async () => {
  const t = await buildTestApp()
  t.zoom.addApp({ client_id: CLIENT_ID, scopes: GUIDE_SCOPES })
  const page = await (await readyToReturn(t)).comeBack()
  expect(page.statusCode).toBe(200)
  expect(page.body).toContain(HOST_ID)
  const [host] = await hosts(t)
  expect(host).toMatchObject({ zoom_user_id: HOST_ID, email: null, display_name: null, status: 'connected' })
  expect(host).toMatchObject({ missing_scopes: [], scopes: GUIDE_SCOPES })
  expect(host.degraded).toContain('profile')
})

test('fewer scopes than are required connect, and the host says which are missing', async () => {
  const t = await buildTestApp()
  t.zoom.addApp({ client_id: CLIENT_ID, scopes: ['user:read:token', 'user:read:user'] })
  expect((await (await readyToReturn(t)).comeBack()).statusCode).toBe(200)
  const [host] = await hosts(t)
  expect(host.missing_scopes).toEqual(['meeting:read:local_recording_token'])
})

test('a token without claims is identified by /users/me, which is asked again while it fails', async () => {
  const t = await buildTestApp({ simulator: { modes: { opaqueAccessTokens: true } } })
  const { comeBack } = await readyToReturn(t)
  t.zoom.setFault({ match: { path: ME }, times: 3, action: { type: 'status', status: 500 } })
  expect((await comeBack()).statusCode).toBe(200)
  expect(await hosts(t)).toMatchObject([{ zoom_user_id: HOST_ID, email: HOST }])
})

test('a token that cannot be identified at all is revoked, and nothing is stored', async () => {
  const t = await buildTestApp({ simulator: { modes: { opaqueAccessTokens: true } } })
  t.zoom.setFault({ match: { path: ME }, times: -1, action: { type: 'status', status: 500 } })
  expect(await resultOf(t, {})).toEqual(failed('zoom_unavailable'))
  t.zoom.clearFaults()
  t.zoom.addApp({ client_id: CLIENT_ID, scopes: GUIDE_SCOPES })
  expect(await resultOf(t, {})).toEqual(failed('connect_failed'))
  expect(revocations(t).map(({ status }) => status)).toEqual([200, 200])
  expect(await rows(t, 'SELECT 1 FROM grants')).toEqual([])
})

test('where /users/me names another user than the token, nothing is linked and the log says so as an error', async () => {
  const t = await buildTestApp()
  const { comeBack } = await readyToReturn(t)
  t.zoom.setFault({ match: { path: ME }, times: -1, action: { type: 'set', fields: { id: 'somebody-else' } } })
  const page = await comeBack()
  expect([page.statusCode, page.body.includes('<dd>connect_failed</dd>')]).toEqual([400, true])
  expect(await hosts(t)).toEqual([])
  expect(t.log.filter((line) => line.includes('"level":"error"'))).toEqual([expect.stringContaining('/users/me')])
})

test('an expected e-mail address is compared without regard to case, and never used as a key', async () => {
  const t = await buildTestApp()
  expect(await resultOf(t, { expected_email: ' HOST@Example.COM ' })).toMatchObject({ status: 'connected' })
  // the same address on another Zoom user is another host
  t.zoom.addUser({ id: HOST_ID, email: 'former@example.com' })
  t.zoom.addUser({ id: 'a-new-zoom-user', email: HOST })
  const second = await resultOf(t, { external_user_id: 'user-2', expected_email: HOST }, 'a-new-zoom-user')
  expect(second).toMatchObject({ status: 'connected' })
  expect((await hosts(t)).map((host: { zoom_user_id: string }) => host.zoom_user_id)).toEqual([
    'a-new-zoom-user',
    HOST_ID,
  ])
})

test('another, an unverified or an unreadable address, or none because Zoom fails: the code that says which', async () => {
  const t = await buildTestApp()
  expect(await resultOf(t, { expected_email: OTHER_HOST })).toEqual(failed('email_mismatch'))
  t.zoom.addUser({ id: HOST_ID, verified: false })
  expect(await resultOf(t, { expected_email: HOST })).toEqual(failed('email_unverifiable'))
  t.zoom.addUser({ id: HOST_ID, verified: true })
  t.zoom.setFault({ match: { path: ME }, times: -1, action: { type: 'status', status: 500 } })
  expect(await resultOf(t, { expected_email: HOST })).toEqual(failed('zoom_unavailable'))
  t.zoom.clearFaults()
  t.zoom.addApp({ client_id: CLIENT_ID, scopes: GUIDE_SCOPES })
  expect(await resultOf(t, { expected_email: HOST })).toEqual(failed('email_unverifiable'))
  expect(await hosts(t)).toEqual([])
})

test('while /users/me fails nobody is connected: claims stand in for a missing scope alone', async () => {
  const t = await buildTestApp()
  t.zoom.setFault({ match: { path: ME }, times: -1, action: { type: 'status', status: 500 } })
  expect(await resultOf(t, {})).toEqual(failed('zoom_unavailable'))
  expect(await hosts(t)).toEqual([])
})

test('reconnecting the same Zoom user keeps the host’s id', async () => {
  const t = await buildTestApp()
  const first = await resultOf(t, {})
  const second = await resultOf(t, {})
  expect(second).toEqual({ status: 'connected', host_id: first.host_id })
  expect(await hosts(t)).toHaveLength(1)
})

test('another Zoom user under the same external_user_id is refused, or replaces it with the host’s id kept', async () => {
  const t = await buildTestApp()
  const first = await resultOf(t, {}, HOST)
  expect(await resultOf(t, {}, OTHER_HOST)).toEqual(failed('other_zoom_user'))
  expect(await hosts(t)).toMatchObject([{ id: first.host_id, email: HOST, status: 'connected' }])
  const replaced = await resultOf(t, { expected_email: OTHER_HOST, on_other_zoom_user: 'replace' }, OTHER_HOST)
  expect(replaced).toEqual({ status: 'connected', host_id: first.host_id })
  expect(await hosts(t)).toMatchObject([{ id: first.host_id, email: OTHER_HOST, status: 'connected' }])
  expect(t.zoom.liveRefreshToken(HOST, CLIENT_ID)).toBeNull() // nobody links it any more
  expect(t.zoom.liveRefreshToken(OTHER_HOST, CLIENT_ID)).not.toBeNull()
})

test('a Zoom user whom the tenant connected under another external_user_id is refused and stays connected there', async () => {
  const t = await buildTestApp()
  const first = await resultOf(t, {})
  expect(await resultOf(t, { external_user_id: 'user-2' })).toEqual(failed('already_connected'))
  expect(await hosts(t)).toMatchObject([{ id: first.host_id, external_user_id: 'user-1', status: 'connected' }])
  const [grant] = await rows(t, 'SELECT status FROM grant_tokens')
  expect(grant).toEqual({ status: 'connected' })
})

test('without a session the Zoom user id becomes the external_user_id of the tenant default', async () => {
  const t = await buildTestApp()
  expect((await t.follow('http://localhost:4000/zoom/oauth', HOST)).statusCode).toBe(200)
  expect(await hosts(t)).toMatchObject([{ external_user_id: HOST_ID, zoom_user_id: HOST_ID }])
})

test('an organization is connected through the tenant’s account-level app and told as organization_id', async () => {
  const t = await buildTestApp()
  const { id, headers } = await newTenant(t)
  const app = { client_id: 'simulator-account-client-id', client_secret: 'simulator-account-client-secret' }
  expect((await t.api('POST', '/v1/zoom-apps', { body: { ...app, kind: 'account', tenant_id: id } })).statusCode).toBe(
    201,
  )
  const session = { external_user_id: 'org-1', kind: 'organization', return_url: 'https://app.example.com/' }
  const sent = await t.follow(await t.connectLink(session, headers), HOST)
  const [organization] = (await t.api('GET', '/v1/organizations', { headers })).json().data
  expect(sent.headers.location).toBe(`https://app.example.com/?status=connected&organization_id=${organization.id}`)
  expect(organization).toMatchObject({ external_user_id: 'org-1', zoom_account_id: 'EQK5vVqQTkqVnhlW3xTJ9A' })
  expect(await hosts(t, headers)).toEqual([])
})
