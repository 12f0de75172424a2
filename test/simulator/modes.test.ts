import { expect, onTestFinished, test, vi } from 'vitest'
import { APP, claimsOf, connect, get, HOST, MEETING, OTHER, refresh, simulator } from './client.ts'

interface Body {
  code?: number
  error?: string
  token?: string
}

const obfPath = `/v2/users/me/token?type=onbehalf&meeting_id=${MEETING}`
const joinPath = `/v2/meetings/${MEETING}/jointoken/local_recording`

test('a refresh kills the previous access token, or as a mode leaves it alive', async () => {
  const sim = await simulator()
  const first = await connect(sim)
  const second = (await refresh(sim, first.refresh_token)).body
  expect((await get(sim, '/v2/users/me', first.access_token)).status).toBe(401)
  sim.setModes({ refreshKillsAccessToken: false })
  const third = (await refresh(sim, second.refresh_token)).body
  expect((await get(sim, '/v2/users/me', second.access_token)).status).toBe(200)
  expect((await get(sim, '/v2/users/me', third.access_token)).status).toBe(200)
})

test('with family revocation the reuse of a dead refresh token kills the live one too', async () => {
  const sim = await simulator({ modes: { familyRevocation: true } })
  const first = await connect(sim)
  const second = (await refresh(sim, first.refresh_token)).body
  expect((await refresh(sim, first.refresh_token)).status).toBe(400)
  expect((await refresh(sim, second.refresh_token)).status).toBe(400)
  expect((await get(sim, '/v2/users/me', second.access_token)).status).toBe(401)
  expect(sim.liveRefreshToken(HOST, APP.id)).toBeNull()
})

test('with grace the spent token answers the same pair for a while, then no more', async () => {
  const sim = await simulator({ modes: { graceSeconds: 60 } })
  const first = await connect(sim)
  const second = (await refresh(sim, first.refresh_token)).body
  expect((await refresh(sim, first.refresh_token)).body).toEqual(second)
  sim.advanceClock(61)
  expect((await refresh(sim, first.refresh_token)).status).toBe(400)
  expect((await refresh(sim, second.refresh_token)).status).toBe(200)
})

test('with grace of the other kind the spent token gives yet another pair', async () => {
  const sim = await simulator({ modes: { graceSeconds: 60, graceAnswer: 'another' } })
  const first = await connect(sim)
  const second = (await refresh(sim, first.refresh_token)).body
  const third = (await refresh(sim, first.refresh_token)).body
  expect(third.refresh_token).not.toBe(second.refresh_token)
  expect(sim.liveRefreshToken(HOST, APP.id)).toBe(third.refresh_token)
})

test('a superseded grant can be named as 4741, and changed scopes as 4711 on refresh', async () => {
  const sim = await simulator({ modes: { namesSuperseded: true, refreshChecksScopes: true } })
  const first = await connect(sim)
  const second = await connect(sim)
  expect((await refresh<Body>(sim, first.refresh_token)).body.code).toBe(4741)
  sim.addApp({ client_id: APP.id, scopes: ['user:read:token'] })
  expect((await refresh<Body>(sim, second.refresh_token)).body.code).toBe(4711)
})

test('access tokens can be opaque and live as long as asked', async () => {
  const sim = await simulator({ modes: { opaqueAccessTokens: true, accessTokenLifeSeconds: 90 } })
  const pair = await connect(sim)
  expect(() => claimsOf(pair.access_token)).toThrow()
  expect(pair.expires_in).toBe(90)
  sim.advanceClock(89)
  expect((await get(sim, '/v2/users/me', pair.access_token)).status).toBe(200)
  sim.advanceClock(1)
  expect((await get(sim, '/v2/users/me', pair.access_token)).status).toBe(401)
})

test('Zoom can leave the e-mail unverified, for all users or for one', async () => {
  const sim = await simulator({ modes: { emailVerified: false } })
  const { access_token: token } = await connect(sim)
  const verified = async () => (await get<{ verified: number }>(sim, '/v2/users/me', token)).body.verified
  expect(await verified()).toBe(0)
  sim.addUser({ email: HOST, verified: true })
  expect(await verified()).toBe(1)
})

test('a join token opens its own meeting once within 120 s and skips the waiting room only if minted so', async () => {
  const sim = await simulator()
  const { access_token: token } = await connect(sim)
  const mint = async (query = '') => (await get<Body>(sim, joinPath + query, token)).body.token ?? ''
  const skipping = await mint('?bypass_waiting_room=true')
  expect(sim.join({ meeting_id: '82345678901', token: skipping })).toMatchObject({
    sdk_code: 500,
    reason: 'another meeting',
  })
  expect(sim.join({ meeting_id: MEETING, token: skipping })).toMatchObject({ joined: true, skips_waiting_room: true })
  expect(sim.join({ meeting_id: MEETING, token: skipping })).toMatchObject({ sdk_code: 500, reason: 'already used' })
  expect(sim.join({ meeting_id: MEETING, token: await mint() })).toMatchObject({
    joined: true,
    skips_waiting_room: false,
  })
  const late = await mint()
  sim.advanceClock(121)
  expect(sim.join({ meeting_id: MEETING, token: late })).toMatchObject({ sdk_code: 500, reason: 'expired' })
})

test('an OBF token is single use, or as a mode works again', async () => {
  const sim = await simulator()
  const { access_token: token } = await connect(sim)
  const join = async (obf: string) => sim.join({ meeting_id: MEETING, on_behalf_token: obf }).sdk_code
  const once = (await get<Body>(sim, obfPath, token)).body.token ?? ''
  expect([await join(once), await join(once)]).toEqual([null, 505])
  sim.setModes({ obfSingleUse: false })
  expect(await join(once)).toBeNull()
  expect(sim.join({ meeting_id: '82345678901', on_behalf_token: once }).sdk_code).toBe(506)
})

test('a user-level join token alone can be refused as 503 until the host’s OBF stands beside it', async () => {
  const sim = await simulator({ modes: { joinNeedsHostToken: true } })
  const { access_token: token } = await connect(sim)
  const other = await connect(sim, OTHER)
  const mint = async (path: string, by = token) => (await get<Body>(sim, path, by)).body.token ?? ''
  const join = await mint(joinPath)
  expect(sim.join({ meeting_id: MEETING, token: join }).sdk_code).toBe(503)
  const foreign = await mint(obfPath, other.access_token)
  expect(sim.join({ meeting_id: MEETING, token: join, on_behalf_token: foreign }).sdk_code).toBe(503)
  expect(sim.join({ meeting_id: MEETING, token: join, on_behalf_token: await mint(obfPath) }).joined).toBe(true)
  expect(sim.join({ meeting_id: MEETING }).sdk_code).toBe(504)
})

test('an OBF without a meeting can be refused, an unknown meeting can read 300, and a scope be let through', async () => {
  const sim = await simulator({
    modes: { obfRequiresMeetingId: true, unknownMeetingCode: 300, refuseScopeParameter: false },
  })
  const { access_token: token } = await connect(sim)
  expect((await get<Body>(sim, '/v2/users/me/token?type=onbehalf', token)).body.code).toBe(300)
  const unknown = await get<Body>(sim, '/v2/meetings/123456789/jointoken/local_recording', token)
  expect([unknown.status, unknown.body.code]).toEqual([404, 300])
  expect(() => sim.authorize({ client_id: APP.id, redirect_uri: 'http://l/cb', user: HOST, scope: 'x' })).not.toThrow()
})

test('the rate limit counts per account over its users, each second anew, and says when to come back', async () => {
  vi.useFakeTimers({ toFake: ['Date'] }) // the second stands still, so that the count is exact
  onTestFinished(() => void vi.useRealTimers())
  const sim = await simulator({ modes: { enforceRateLimit: true, rateLimitPerSecond: { light: 3, medium: 1 } } })
  const [host, other] = [await connect(sim), await connect(sim, OTHER)]
  const tokens = Array.from({ length: 20 }, (_, index) => (index % 2 ? host : other).access_token)
  const answers = await Promise.all(tokens.map((token) => get<Body>(sim, obfPath, token)))
  const refused = answers.filter((answer) => answer.status === 429)
  expect(refused).toHaveLength(17)
  expect(refused[0]?.headers.get('retry-after')).toBe('1')
  expect(refused[0]?.headers.get('x-ratelimit-type')).toBe('QPS')
  expect(sim.minted).toHaveLength(3)
  expect((await get(sim, '/v2/users/me/meetings', host.access_token)).status).toBe(200)
  sim.advanceClock(1)
  expect((await get(sim, obfPath, host.access_token)).status).toBe(200)
})

test('latency holds back every answer', async () => {
  const sim = await simulator({ modes: { latencyMs: 60 } })
  const startedAt = performance.now()
  await get(sim, '/v2/users/me', 'none')
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(55)
})
