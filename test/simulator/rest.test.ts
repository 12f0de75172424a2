import { expect, test } from 'vitest'
import type { Simulator } from '../../simulator/server.ts'
import {
  ACCOUNT_APP,
  type Answer,
  APP,
  connect,
  form,
  get,
  HOST,
  MEETING,
  OTHER,
  OTHER_MEETING,
  simulator,
  WEBINAR,
} from './client.ts'

interface Body {
  code?: number
  message?: string
  token?: string
  expire_in?: number
  [field: string]: unknown
}

const joinPath = (meeting: string) => `/v2/meetings/${meeting}/jointoken/local_recording?bypass_waiting_room=true`
const codeOf = ({ status, body }: Answer<Body>) => [status, body.code ?? null]

async function connected(sim: Simulator, user = HOST, app = APP) {
  const { access_token: token } = await connect(sim, user, app)
  return (path: string) => get<Body>(sim, path, token)
}

test('a host gets join, OBF and ZAK tokens, each unique and in the order of minting', async () => {
  const sim = await simulator()
  const ask = await connected(sim)
  const answers = []
  for (const path of [
    joinPath(MEETING),
    joinPath(MEETING),
    `/v2/users/me/token?type=onbehalf&meeting_id=${MEETING}`,
    '/v2/users/me/token?type=zak&ttl=300',
    '/v2/users/me/zak',
  ]) {
    answers.push(await ask(path))
  }
  expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200, 200])
  expect(answers[0]?.body.expire_in).toBe(120)
  expect(sim.minted).toEqual(answers.map((answer) => answer.body.token))
  expect(new Set(sim.minted).size).toBe(5)
})

test('the join token is for the host: someone else’s meeting, an unknown and an ended one do not exist', async () => {
  const sim = await simulator()
  const ask = await connected(sim)
  const other = await ask(joinPath(OTHER_MEETING))
  expect([other.status, other.body]).toEqual([
    404,
    { code: 3001, message: `Meeting does not exist: ${OTHER_MEETING}.` },
  ])
  expect(codeOf(await ask(joinPath('123456789')))).toEqual([404, 3001])
  sim.addMeeting({ id: MEETING, ended: true })
  expect(codeOf(await ask(joinPath(MEETING)))).toEqual([404, 3001])
  expect(sim.minted).toEqual([])
})

test.each([
  [3001, 404],
  [1010, 404],
  [4700, 400],
  [124, 401],
  [4711, 400],
] as const)('the refusal of a non-host can read %i', async (code, status) => {
  const sim = await simulator({ modes: { nonHostCode: code } })
  const ask = await connected(sim)
  expect(codeOf(await ask(joinPath(OTHER_MEETING)))).toEqual([status, code])
})

test('the two meanings of code 3000: a webinar, and local recording switched off', async () => {
  const sim = await simulator()
  const ask = await connected(sim)
  expect((await ask(joinPath(WEBINAR))).body).toEqual({ code: 3000, message: 'Cannot access Webinar information.' })
  sim.addUser({ email: HOST, local_recording: false })
  expect((await ask(joinPath(MEETING))).body).toEqual({ code: 3000, message: 'Not allowed to start local recording.' })
})

test('a PMI is a meeting of its owner', async () => {
  const sim = await simulator()
  const ask = await connected(sim)
  expect((await ask(joinPath('5551112222'))).status).toBe(200)
  expect(codeOf(await ask(joinPath('5553334444')))).toEqual([404, 3001])
})

test('a meeting id that is no number is refused, also as an escape out of the path', async () => {
  const sim = await simulator()
  const ask = await connected(sim)
  for (const id of ['abc', '12345678', '1234567890123', '..%2Fusers%2Fme%2Ftoken%3Ftype%3Dzak']) {
    expect(codeOf(await ask(joinPath(id)))).toEqual([400, 300])
  }
  expect(codeOf(await ask('/v2/users/me/token?type=onbehalf&meeting_id=abc'))).toEqual([400, 300])
  expect(codeOf(await ask('/v2/users/me/token?type=zak&ttl=soon'))).toEqual([400, 300])
  expect(sim.minted).toEqual([])
})

test('a missing scope is 400 with code 4711 and the alternatives, on every endpoint', async () => {
  const sim = await simulator()
  sim.addApp({ client_id: APP.id, scopes: ['nothing:useful'] })
  const ask = await connected(sim)
  const me = await ask('/v2/users/me')
  expect([me.status, me.body.message]).toEqual([
    400,
    'Invalid access token, does not contain scopes:[user:read:user, user:read:user:admin].',
  ])
  const paths = [
    joinPath(MEETING),
    '/v2/users/me/token?type=zak',
    '/v2/users/me/token?type=onbehalf',
    '/v2/users/me/zak',
  ]
  for (const path of [
    ...paths,
    '/v2/users/me/meetings',
    '/v2/users/me/settings',
    `/v2/meetings/${MEETING}`,
    '/v2/users',
  ]) {
    expect(codeOf(await ask(path))).toEqual([400, 4711])
  }
})

test('an app with only the scopes of Recall’s guide mints, but cannot ask who the user is', async () => {
  const sim = await simulator()
  sim.addApp({ client_id: APP.id, scopes: ['meeting:read:local_recording_token', 'user:read:token'] })
  const ask = await connected(sim)
  expect((await ask(joinPath(MEETING))).status).toBe(200)
  expect((await ask(`/v2/users/me/token?type=onbehalf&meeting_id=${MEETING}`)).status).toBe(200)
  expect(codeOf(await ask('/v2/users/me'))).toEqual([400, 4711])
})

test('scopes are those of the authorization, not those the app has gained since', async () => {
  const sim = await simulator()
  sim.addApp({ client_id: APP.id, scopes: ['user:read:token'] })
  const ask = await connected(sim)
  sim.addApp({ client_id: APP.id, scopes: ['user:read:token', 'user:read:user'] })
  expect(codeOf(await ask('/v2/users/me'))).toEqual([400, 4711])
  expect((await (await connected(sim))('/v2/users/me')).status).toBe(200)
})

test('without a live access token in the header the answer is 401 with code 124', async () => {
  const sim = await simulator()
  const { access_token: token } = await connect(sim)
  expect((await get<Body>(sim, '/v2/users/me', 'made-up')).body).toEqual({
    code: 124,
    message: 'Invalid access token.',
  })
  expect(codeOf(await get<Body>(sim, '/v2/users/me'))).toEqual([401, 124])
  expect(codeOf(await get<Body>(sim, `/v2/users/me?access_token=${token}`))).toEqual([401, 124])
  sim.advanceClock(3600)
  expect((await get<Body>(sim, '/v2/users/me', token)).body).toEqual({ code: 124, message: 'Access token is expired.' })
})

test('a user-level token reaches me and nobody else by id', async () => {
  const sim = await simulator()
  const ask = await connected(sim)
  const { id } = sim.addUser({ email: OTHER })
  for (const path of [`/v2/users/${id}`, `/v2/users/${id}/token?type=zak`, `/v2/users/${id}/meetings`]) {
    expect(codeOf(await ask(path))).toEqual([400, 4700])
  }
})

test('an account-level app reaches everyone of its account, no OBF, and no other account', async () => {
  const sim = await simulator()
  const ask = await connected(sim, HOST, ACCOUNT_APP)
  const { id } = sim.addUser({ email: OTHER })
  const stranger = sim.addUser({ email: 'stranger@example.net' })
  sim.addMeeting({ id: '91111111111', host: stranger.id })
  expect((await ask(`/v2/users/${id}`)).body.email).toBe(OTHER)
  expect((await ask('/v2/users')).body.total_records).toBe(2)
  expect((await ask(joinPath(OTHER_MEETING))).status).toBe(200)
  expect((await ask(`/v2/users/${id}/token?type=zak`)).status).toBe(200)
  expect(codeOf(await ask(`/v2/users/${id}/token?type=onbehalf`))).toEqual([400, 4700])
  expect(codeOf(await ask(`/v2/users/${stranger.id}`))).toEqual([404, 1010])
  expect(codeOf(await ask('/v2/users/nobody'))).toEqual([404, 1001])
  expect(codeOf(await ask(joinPath('91111111111')))).toEqual([404, 3001])
})

test('a deactivated user does not exist, and one who may not host gets 3161', async () => {
  const sim = await simulator()
  const ask = await connected(sim)
  sim.addUser({ email: HOST, can_host: false })
  expect(codeOf(await ask('/v2/users/me/token?type=zak'))).toEqual([400, 3161])
  sim.addUser({ email: HOST, status: 'deactivated' })
  expect(codeOf(await ask('/v2/users/me/token?type=zak'))).toEqual([404, 1001])
})

test('the app’s own token is no user’s', async () => {
  const sim = await simulator()
  const { body } = await form(sim, '/oauth/token', { grant_type: 'client_credentials' })
  expect(codeOf(await get<Body>(sim, '/v2/users/me', body.access_token))).toEqual([400, 124])
})

test('the list of live meetings holds what has started and not ended, instant ones too', async () => {
  const sim = await simulator()
  const [instant, scheduled] = ['91000000001', '91000000002']
  sim.addMeeting({ id: instant, host: HOST, type: 1, live: true })
  sim.addMeeting({ id: scheduled, host: HOST })
  const ask = await connected(sim)
  const listed = async (type: string) => {
    const { meetings } = (await ask(`/v2/users/me/meetings?type=${type}`)).body as { meetings: { id: number }[] }
    return [instant, scheduled].filter((id) => meetings.some((meeting) => String(meeting.id) === id))
  }
  expect(await listed('live')).toEqual([instant])
  expect(await listed('scheduled')).toEqual([scheduled])
  sim.addMeeting({ id: instant, ended: true })
  sim.addMeeting({ id: scheduled, live: true })
  expect(await listed('live')).toEqual([scheduled])
})

test('meetings come in pages, whose tokens die after 15 minutes', async () => {
  const sim = await simulator()
  for (let index = 0; index < 4; index += 1) sim.addMeeting({ id: `9000000000${index}`, host: HOST })
  const ask = await connected(sim)
  const first = await ask('/v2/users/me/meetings?page_size=3')
  expect([first.body.total_records, (first.body.meetings as unknown[]).length]).toEqual([5, 3])
  const next = `/v2/users/me/meetings?page_size=3&next_page_token=${first.body.next_page_token}`
  const second = await ask(next)
  expect([(second.body.meetings as unknown[]).length, second.body.next_page_token]).toEqual([2, ''])
  expect(codeOf(await ask('/v2/users/me/meetings?page_size=301'))).toEqual([400, 300])
  sim.advanceClock(901)
  expect(codeOf(await get<Body>(sim, next, (await connect(sim)).access_token))).toEqual([400, 300])
})

test('a meeting and the settings read as the service expects them', async () => {
  const sim = await simulator()
  const ask = await connected(sim)
  const meeting = await ask(`/v2/meetings/${MEETING}`)
  expect(meeting.body).toMatchObject({ id: Number(MEETING), host_email: HOST, settings: { waiting_room: true } })
  sim.addUser({ email: HOST, local_recording: false })
  expect((await ask('/v2/users/me/settings')).body).toMatchObject({ recording: { local_recording: false } })
  expect((await ask('/v2/users/me/settings?option=meeting_security')).body).toHaveProperty(
    'meeting_security.waiting_room',
  )
})

test('only GET on known paths is recognised', async () => {
  const sim = await simulator()
  const { access_token: token } = await connect(sim)
  const head = await fetch(`${sim.url}/v2/users/me/zak`, {
    method: 'HEAD',
    headers: { authorization: `Bearer ${token}` },
  })
  expect(head.status).toBe(404)
  expect(codeOf(await get<Body>(sim, '/v2/users/me/token/more', token))).toEqual([404, 2300])
  expect(sim.minted).toEqual([])
})
