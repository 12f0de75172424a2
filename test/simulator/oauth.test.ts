import { expect, test } from 'vitest'
import {
  APP,
  basic,
  claimsOf,
  connect,
  exchange,
  form,
  get,
  HOST,
  OTHER,
  pkce,
  REDIRECT,
  refresh,
  simulator,
} from './client.ts'

interface Refused {
  reason: string
  error: string
  code?: number
}

test('an exchange gives a pair whose access token names user, account and client', async () => {
  const sim = await simulator()
  const pair = await connect(sim)
  const user = sim.addUser({ email: HOST })
  expect(pair).toMatchObject({ token_type: 'bearer', expires_in: 3600, api_url: 'https://api.zoom.us' })
  expect(pair.scope.split(' ')).toContain('meeting:read:local_recording_token')
  expect(claimsOf(pair.access_token)).toMatchObject({
    uid: user.id,
    aid: user.account_id,
    iss: `zm:cid:${APP.id}`,
    exp: Number(claimsOf(pair.access_token).iat) + 3600,
  })
})

test('a code works once, for its own client, redirect URI and five minutes', async () => {
  const sim = await simulator()
  sim.addApp({ client_id: 'another', client_secret: 'another-secret' })
  const newCode = () => sim.authorize({ client_id: APP.id, redirect_uri: REDIRECT, user: HOST }).code
  const used = newCode()
  expect((await exchange(sim, used)).status).toBe(200)
  expect((await exchange<Refused>(sim, used)).body).toEqual({
    reason: `Invalid authorization code ${used}`,
    error: 'invalid_grant',
  })
  expect((await exchange(sim, newCode(), {}, { id: 'another', secret: 'another-secret' })).status).toBe(400)
  expect((await exchange<Refused>(sim, newCode(), { redirect_uri: `${REDIRECT}/` })).body.code).toBe(4709)
  const late = newCode()
  sim.advanceClock(301)
  expect((await exchange<Refused>(sim, late)).body.code).toBe(4733)
})

test('a code announced with a challenge needs the right verifier, and a failed try spends it', async () => {
  const sim = await simulator()
  const { verifier, challenge } = pkce()
  const request = { client_id: APP.id, redirect_uri: REDIRECT, user: HOST, code_challenge: challenge }
  const newCode = () => sim.authorize({ ...request, code_challenge_method: 'S256' }).code
  const wrong = newCode()
  expect((await exchange<Refused>(sim, wrong, { code_verifier: pkce().verifier })).body.reason).toBe(
    'Invalid code verifier',
  )
  expect((await exchange(sim, wrong, { code_verifier: verifier })).status).toBe(400)
  expect((await exchange(sim, newCode())).status).toBe(400)
  expect((await exchange(sim, newCode(), { code_verifier: verifier })).status).toBe(200)
})

test('a challenge without a method is plain, as at Zoom, and a verifier without a challenge is refused', async () => {
  const sim = await simulator()
  const { verifier, challenge } = pkce()
  const request = { client_id: APP.id, redirect_uri: REDIRECT, user: HOST }
  const plain = () => sim.authorize({ ...request, code_challenge: challenge }).code
  expect((await exchange(sim, plain(), { code_verifier: verifier })).status).toBe(400)
  expect((await exchange(sim, plain(), { code_verifier: challenge })).status).toBe(200)
  expect((await exchange(sim, sim.authorize(request).code, { code_verifier: verifier })).status).toBe(400)
})

test('each refresh rotates: the spent token is refused and the newest one works', async () => {
  const sim = await simulator()
  const first = await connect(sim)
  const second = await refresh(sim, first.refresh_token)
  expect(second.status).toBe(200)
  expect(second.body.refresh_token).not.toBe(first.refresh_token)
  const reused = await refresh<Refused>(sim, first.refresh_token)
  expect([reused.status, reused.body]).toEqual([400, { reason: 'Invalid Token!', error: 'invalid_grant' }])
  expect(sim.liveRefreshToken(HOST, APP.id)).toBe(second.body.refresh_token)
  expect((await refresh(sim, second.body.refresh_token)).status).toBe(200)
  expect(sim.refreshes).toBe(2)
})

test('a new authorization kills the earlier pair of the same user and app, and nobody else’s', async () => {
  const sim = await simulator()
  const [first, other] = [await connect(sim), await connect(sim, OTHER)]
  const second = await connect(sim)
  expect((await refresh(sim, first.refresh_token)).status).toBe(400)
  expect((await get(sim, '/v2/users/me', first.access_token)).status).toBe(401)
  expect((await get(sim, '/v2/users/me', second.access_token)).status).toBe(200)
  expect((await refresh(sim, other.refresh_token)).status).toBe(200)
})

test('a refresh token belongs to its client and lives 90 days', async () => {
  const sim = await simulator()
  sim.addApp({ client_id: 'another', client_secret: 'another-secret' })
  const { refresh_token: token } = await connect(sim)
  expect((await refresh(sim, token, { id: 'another', secret: 'another-secret' })).status).toBe(400)
  sim.advanceClock(90 * 24 * 3600 + 1)
  expect((await refresh<Refused>(sim, token)).body.error).toBe('invalid_grant')
})

test('a wrong client is invalid_client, a disabled app 4717, and either of two secrets will do', async () => {
  const sim = await simulator()
  sim.addApp({ client_id: APP.id, client_secrets: ['old-secret', 'new-secret'] })
  const fields = { grant_type: 'client_credentials' }
  const call = (secret: string) => form<Refused>(sim, '/oauth/token', fields, { id: APP.id, secret })
  const wrong = await call('wrong')
  expect([wrong.status, wrong.body]).toEqual([
    401,
    { reason: 'Invalid client_id or client_secret', error: 'invalid_client' },
  ])
  expect([(await call('old-secret')).status, (await call('new-secret')).status]).toEqual([200, 200])
  sim.addApp({ client_id: APP.id, disabled: true })
  expect((await call('new-secret')).body.code).toBe(4717)
})

test('client credentials in the body work too, and without any the answer is 4706', async () => {
  const sim = await simulator()
  const { refresh_token: token } = await connect(sim)
  const send = async (fields: Record<string, string>) => {
    const response = await fetch(`${sim.url}/oauth/token`, { method: 'POST', body: new URLSearchParams(fields) })
    return { status: response.status, body: (await response.json()) as Refused }
  }
  const fields = { grant_type: 'refresh_token', refresh_token: token }
  expect((await send(fields)).body.code).toBe(4706)
  expect((await send({ ...fields, client_id: APP.id, client_secret: 'wrong' })).status).toBe(400)
  expect((await send({ ...fields, client_id: APP.id, client_secret: APP.secret })).status).toBe(200)
})

test('only a form body is read: JSON is refused, and a token in the query is 401 with code 124', async () => {
  const sim = await simulator()
  const { refresh_token: token } = await connect(sim)
  const headers = { authorization: basic(), 'content-type': 'application/json' }
  const body = JSON.stringify({ grant_type: 'refresh_token', refresh_token: token })
  expect((await fetch(`${sim.url}/oauth/token`, { method: 'POST', headers, body })).status).toBe(400)
  const query = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token })
  const inQuery = await form<Refused>(sim, `/oauth/token?${query}`, {})
  expect([inQuery.status, inQuery.body.code]).toEqual([401, 124])
  expect(sim.liveRefreshToken(HOST, APP.id)).toBe(token)
})

test('a revoke by access token ends the whole grant; by refresh token it is refused', async () => {
  const sim = await simulator()
  const pair = await connect(sim)
  expect((await form(sim, '/oauth/revoke', { token: pair.refresh_token })).status).toBe(400)
  const revoked = await form<object>(sim, '/oauth/revoke', { token: pair.access_token })
  expect([revoked.status, revoked.body]).toEqual([200, { status: 'success' }])
  expect((await refresh(sim, pair.refresh_token)).status).toBe(400)
  expect((await get(sim, '/v2/users/me', pair.access_token)).status).toBe(401)
  expect(sim.liveRefreshToken(HOST, APP.id)).toBeNull()
})

test('what happened to the user shows in the refresh: 4738, 4735, and Invalid Token after a removal', async () => {
  const sim = await simulator()
  const { refresh_token: token } = await connect(sim)
  const code = async () => (await refresh<Refused>(sim, token)).body.code ?? null
  sim.addUser({ email: HOST, admin_disabled: true })
  expect(await code()).toBe(4738)
  sim.addUser({ email: HOST, admin_disabled: false, owner_removed: true })
  expect(await code()).toBe(4735)
  sim.addUser({ email: HOST, owner_removed: false, removed_app: true })
  expect((await refresh<Refused>(sim, token)).body.reason).toBe('Invalid Token!')
  expect((await refresh(sim, (await connect(sim)).refresh_token)).status).toBe(200)
})

test('of many parallel refreshes with one token exactly one wins', async () => {
  const sim = await simulator()
  const { refresh_token: token } = await connect(sim)
  const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(sim, token)))
  expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1)
  expect(sim.refreshes).toBe(1)
})
