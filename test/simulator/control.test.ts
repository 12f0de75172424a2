import { expect, test } from 'vitest'
import { APP, connect, exchange, get, HOST, MEETING, OTHER, post, REDIRECT, refresh, simulator } from './client.ts'

interface Listed {
  data: Record<string, unknown>[]
}

test('apps, users and meetings are added and changed over HTTP, and no secret comes back', async () => {
  const sim = await simulator()
  const app = await post(sim, '/_sim/apps', {
    client_id: 'mine',
    client_secret: 'mine-secret',
    redirect_uris: [REDIRECT],
  })
  expect(app.body).toMatchObject({ client_id: 'mine', kind: 'user' })
  const user = await post(sim, '/_sim/users', { email: 'new@example.com', display_name: 'New' })
  expect(user.body).toMatchObject({ email: 'new@example.com', status: 'active', local_recording: true })
  const changed = await post(sim, '/_sim/users', { id: user.body.id, local_recording: false })
  expect(changed.body).toMatchObject({ id: user.body.id, display_name: 'New', local_recording: false })
  const meeting = await post(sim, '/_sim/meetings', { id: 91234567890, host: 'new@example.com' })
  expect(meeting.body).toMatchObject({ id: '91234567890', host_id: user.body.id })
  const everything = [app.text, (await get(sim, '/_sim/apps')).text, (await get(sim, '/_sim/users')).text]
  expect(everything.join('')).not.toContain('secret')
})

test.each([
  ['/_sim/apps', { client_id: 'new' }, 'client_secret'],
  ['/_sim/apps', { client_id: 'new', client_secrets: ['1', '2', '3'] }, 'client_secrets'],
  ['/_sim/users', { display_name: 'nobody' }, 'expected id or email'],
  ['/_sim/users', { emial: 'x@example.com' }, 'emial'],
  ['/_sim/users', { email: 'no address' }, 'email'],
  ['/_sim/meetings', { id: '12', host: HOST }, '9 to 12 digits'],
  ['/_sim/meetings', { id: MEETING, host: 'nobody@example.com' }, 'known user'],
  ['/_sim/meetings', { id: '91234567890' }, 'host'],
  ['/_sim/modes', { nonHostCode: 42 }, 'nonHostCode'],
  ['/_sim/modes', { unknownMode: true }, 'unknownMode'],
  ['/_sim/faults', { action: { type: 'earthquake' } }, 'action.type'],
  ['/_sim/faults', { match: { path: 'v2' }, action: { type: 'hang' } }, 'match.path'],
  ['/_sim/faults', { match: { path: '^(' }, action: { type: 'hang' } }, 'match.path'],
  ['/_sim/faults', { effect: 'never', action: { type: 'omit', field: 'x' } }, 'expected before'],
  ['/_sim/faults', { times: 0, action: { type: 'hang' } }, 'times'],
  ['/_sim/recall/call', { url: 'ftp://example.com/' }, 'url'],
  ['/_sim/recall/call', { url: 'http://127.0.0.1:9/', secret: 'plain' }, 'whsec_'],
  ['/_sim/revoke', {}, 'user_id'],
  ['/_sim/clock', {}, 'advance_seconds'],
  ['/_sim/join', { token: 'x' }, 'meeting_id'],
  ['/_sim/users', '{"broken', 'expected JSON'],
])('%s refuses %j and says what was expected', async (path, body, expected) => {
  const sim = await simulator()
  const answer = await post<{ error: string; message: string }>(sim, path, body)
  expect([answer.status, answer.body.error]).toEqual([400, 'invalid_request'])
  expect(answer.body.message).toContain(expected)
})

test('a body beyond 256 KiB is refused, in the control API as at Zoom', async () => {
  const sim = await simulator()
  expect((await post(sim, '/_sim/users', 'x'.repeat(300_000))).status).toBe(413)
  expect((await post(sim, '/oauth/token', 'x'.repeat(300_000))).status).toBe(413)
})

test('an unknown control endpoint lists the known ones', async () => {
  const sim = await simulator()
  const answer = await post<{ expected: string[] }>(sim, '/_sim/nowhere', {})
  expect(answer.status).toBe(404)
  expect(answer.body.expected).toContain('POST /_sim/recall/call')
})

test('a fault is set, listed, released and cleared over HTTP', async () => {
  const sim = await simulator()
  const { access_token: token } = await connect(sim)
  const { id } = (await post(sim, '/_sim/faults', { times: -1, action: { type: 'hold' } })).body
  const answer = get(sim, '/v2/users/me', token)
  await sim.waitFor({ path: '/v2/users/me' })
  expect((await get<Listed>(sim, '/_sim/faults')).body.data).toMatchObject([{ id, hits: 1, effect: 'before' }])
  await post(sim, '/_sim/faults/release', { id })
  expect((await answer).status).toBe(200)
  await fetch(`${sim.url}/_sim/faults`, { method: 'DELETE' })
  expect((await get<Listed>(sim, '/_sim/faults')).body.data).toEqual([])
})

test('grants are revoked and access tokens expire on demand, by id or e-mail', async () => {
  const sim = await simulator()
  const [host, other] = [await connect(sim), await connect(sim, OTHER)]
  expect((await post(sim, '/_sim/expire', { user_id: HOST })).body).toEqual({ expired: 1 })
  expect((await get<{ message: string }>(sim, '/v2/users/me', host.access_token)).body.message).toBe(
    'Access token is expired.',
  )
  expect((await get(sim, '/v2/users/me', other.access_token)).status).toBe(200)
  expect((await post(sim, '/_sim/revoke', { user_id: HOST, client_id: APP.id })).body).toEqual({ revoked: 1 })
  expect((await refresh(sim, host.refresh_token)).status).toBe(400)
  const grants = (await get<Listed>(sim, '/_sim/grants')).body.data
  expect(grants).toMatchObject([{ client_id: APP.id, user_id: sim.addUser({ email: OTHER }).id }])
})

test('modes, the clock and an SDK join work over HTTP', async () => {
  const sim = await simulator()
  const { access_token: token } = await connect(sim)
  expect((await post(sim, '/_sim/modes', { familyRevocation: true })).body).toMatchObject({
    familyRevocation: true,
    refreshKillsAccessToken: true,
  })
  const minted = await get(sim, `/v2/meetings/${MEETING}/jointoken/local_recording?bypass_waiting_room=true`, token)
  const join = () => post(sim, '/_sim/join', { meeting_id: MEETING, token: minted.body.token })
  expect((await join()).body).toMatchObject({ joined: true, skips_waiting_room: true })
  await post(sim, '/_sim/clock', { advance_seconds: 3600 })
  expect((await get(sim, '/v2/users/me', token)).status).toBe(401)
})

test('the log shows every request to Zoom and neither token, code nor secret in clear', async () => {
  const sim = await simulator()
  const { code } = sim.authorize({ client_id: APP.id, redirect_uri: REDIRECT, user: HOST })
  const { body: pair } = await exchange(sim, code)
  await refresh(sim, pair.refresh_token)
  await get(sim, '/v2/users/me', pair.access_token)
  await get(sim, `/v2/meetings/${MEETING}/jointoken/local_recording?bypass_waiting_room=true`, sim.issued[3]?.value)
  await get(sim, `/oauth/authorize?response_type=code&client_id=${APP.id}&redirect_uri=${REDIRECT}&state=secret-state`)
  const log = await get<Listed>(sim, '/_sim/log')
  expect(log.body.data.map((entry) => [entry.method, entry.path, entry.status])).toEqual([
    ['POST', '/oauth/token', 200],
    ['POST', '/oauth/token', 200],
    ['GET', '/v2/users/me', 401],
    ['GET', `/v2/meetings/${MEETING}/jointoken/local_recording`, 200],
    ['GET', '/oauth/authorize', 200],
  ])
  expect(log.body.data[3]).toMatchObject({ query: { bypass_waiting_room: 'true' }, client_id: APP.id })
  for (const secret of [...sim.issued.map((one) => one.value), APP.secret, 'secret-state']) {
    expect(log.text).not.toContain(secret)
  }
  expect((await get<Listed>(sim, `/_sim/log?status=401&user_id=${HOST}`)).body.data).toHaveLength(1)
})

test('issued lists every code and token ever handed out, for leak searches', async () => {
  const sim = await simulator()
  const { access_token: token } = await connect(sim)
  await get(sim, '/v2/users/me/zak', token)
  const kinds = (await get<Listed>(sim, '/_sim/issued')).body.data.map((one) => one.kind)
  expect(kinds).toEqual(['code', 'access_token', 'refresh_token', 'zak'])
})

test('a reset goes back to the seed, modes included, and forgets grants, faults and log', async () => {
  const sim = await simulator({
    modes: { familyRevocation: true },
    seed: { users: [{ email: 'seeded@example.com' }], meetings: [{ id: '91234567890', host: 'seeded@example.com' }] },
  })
  const pair = await connect(sim, 'seeded@example.com')
  sim.addUser({ email: 'later@example.com' })
  sim.setModes({ familyRevocation: false, latencyMs: 5 })
  sim.setFault({ times: -1, action: { type: 'html' } })
  await post(sim, '/_sim/reset', '')
  expect((await refresh(sim, pair.refresh_token)).status).toBe(400)
  const users = (await get<Listed>(sim, '/_sim/users')).body.data.map((user) => user.email)
  expect(users).toEqual([HOST, OTHER, 'seeded@example.com'])
  expect((await get(sim, '/_sim/modes')).body).toMatchObject({ familyRevocation: true, latencyMs: 0 })
  expect([sim.minted.length, sim.issued.length, sim.refreshes, sim.log().length]).toEqual([0, 0, 0, 1])
})
