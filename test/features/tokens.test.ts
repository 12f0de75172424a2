import { METHODS } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'

const MEETING = '85996249517'
let t: TestApp
let meetings = 100_000_000

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())

/** A fresh Zoom user, connected, hosting a fresh meeting. */
async function connected(name: string, user: Record<string, unknown> = {}) {
  const email = `${name}@example.com`
  const meeting = String(++meetings)
  t.zoom.addUser({ email, ...user })
  t.zoom.addMeeting({ id: meeting, host: email })
  const host = await t.connectHost(name, email)
  return { email, meeting, host }
}
async function passFor(name: string, meeting: string, kinds = ['join', 'obf', 'zak']) {
  return await t.createPass({ meeting, host: { external_user_id: name }, kinds })
}
const minted = () => t.zoom.minted.length
const settled = async (passId: string) => {
  await t.services.ledger.flush()
  return (await t.api('GET', `/v1/mints?pass_id=${passId}`)).json().data
}

describe('a signed bot with its pass', () => {
  test('gets the join token of its own meeting, minted that instant, as bare text that nobody may cache', async () => {
    const { meeting } = await connected('happy')
    const pass = await passFor('happy', meeting)
    const answer = await t.bot(pass.join_token_url)
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.body).toBe(t.zoom.minted.at(-1))
    expect(t.zoom.join({ meeting_id: meeting, token: answer.body })).toMatchObject({
      joined: true,
      skips_waiting_room: true,
    })
  })

  test('gets an OBF token and a ZAK of the same host, each its own', async () => {
    const { meeting } = await connected('three')
    const pass = await passFor('three', meeting)
    const tokens = [await t.bot(pass.obf_token_url), await t.bot(pass.zak_token_url)]
    expect(tokens.map(({ statusCode }) => statusCode)).toEqual([200, 200])
    expect(new Set(tokens.map(({ body }) => body)).size).toBe(2)
  })

  test('gets a new token at every call, never a shared one, and Zoom is asked once per mint', async () => {
    const { meeting } = await connected('many')
    const pass = await passFor('many', meeting)
    const before = minted()
    const answers = await Promise.all(Array.from({ length: 20 }, () => t.bot(pass.join_token_url)))
    expect(new Set(answers.map(({ body }) => body)).size).toBe(20)
    expect(minted() - before).toBe(20)
  })

  test('leaves a ledger row for every token, without the token', async () => {
    const { meeting, host } = await connected('ledger')
    const pass = await passFor('ledger', meeting)
    const answer = await t.bot(pass.join_token_url)
    const rows = await settled(pass.id)
    expect(rows).toMatchObject([
      { kind: 'join', outcome: 'minted', meeting_id: meeting, host_id: host.id, pass_id: pass.id },
    ])
    expect(JSON.stringify(rows)).not.toContain(answer.body)
  })

  test('may use one request id for its join and its OBF request', async () => {
    const { meeting } = await connected('sameid')
    const pass = await passFor('sameid', meeting)
    const answers = [
      await t.bot(pass.join_token_url, { id: 'msg_one' }),
      await t.bot(pass.obf_token_url, { id: 'msg_one' }),
    ]
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200])
  })

  test('may call with a trailing slash and parameters of other people', async () => {
    const { meeting } = await connected('slash')
    const pass = await passFor('slash', meeting)
    const url = pass.join_token_url.replace('join-token?', 'join-token/?utm_source=x&')
    expect((await t.bot(`${url}&meeting_id=${meeting}`)).statusCode).toBe(200)
  })
})

describe('401 unauthenticated, one and the same body', () => {
  test('for no signature, a wrong one, an unknown pass, a revoked pass and none at all; no request reaches Zoom', async () => {
    const { meeting } = await connected('refused')
    const pass = await passFor('refused', meeting)
    const revoked = await passFor('refused', meeting)
    await t.api('DELETE', `/v1/passes/${revoked.id}`)
    const before = minted()
    const answers = [
      await t.app.inject({ url: pass.join_token_url.slice('http://localhost:4000'.length) }),
      await t.bot(pass.join_token_url, { secrets: [`whsec_${Buffer.alloc(32, 9).toString('base64')}`] }),
      await t.bot(pass.join_token_url.slice(0, -1) + (pass.join_token_url.endsWith('A') ? 'B' : 'A')),
      await t.bot(revoked.join_token_url),
      await t.bot('/zoom/join-token'),
    ]
    const bodies = answers.map((answer) => ({ status: answer.statusCode, ...answer.json(), request_id: '' }))
    expect(bodies[0]).toMatchObject({ status: 401, code: 'unauthenticated' })
    for (const body of bodies) expect(body).toEqual(bodies[0])
    expect(minted()).toBe(before)
  })

  test('with the true reason in the mints of a known pass', async () => {
    const { meeting } = await connected('reasons')
    const pass = await passFor('reasons', meeting)
    await t.app.inject({ url: new URL(pass.join_token_url).pathname + new URL(pass.join_token_url).search })
    await t.bot(pass.join_token_url, { headers: { 'webhook-timestamp': String(Math.floor(Date.now() / 1000) - 301) } })
    const rows = await settled(pass.id)
    expect(rows.map((row: { outcome: string; reason: string }) => [row.outcome, row.reason])).toEqual([
      ['unauthenticated', 'signature_mismatch'],
      ['unauthenticated', 'signature_missing'],
    ])
  })
})

describe('403 pass_mismatch', () => {
  test('for a kind the pass is not for', async () => {
    const { meeting } = await connected('kind')
    const pass = await passFor('kind', meeting, ['join'])
    const answer = await t.bot(pass.join_token_url.replace('join-token', 'zak-token'))
    expect([answer.statusCode, answer.json().code]).toEqual([403, 'pass_mismatch'])
  })
  test('for another meeting in the query', async () => {
    const { meeting } = await connected('meeting')
    const pass = await passFor('meeting', meeting)
    const answer = await t.bot(`${pass.join_token_url}&meeting_id=${MEETING}`)
    expect([answer.statusCode, answer.json().code]).toEqual([403, 'pass_mismatch'])
  })
  test('for a request id that was first used with another pass', async () => {
    const { meeting } = await connected('rebound')
    const [first, second] = [await passFor('rebound', meeting), await passFor('rebound', meeting)]
    expect((await t.bot(first.join_token_url, { id: 'msg_bound' })).statusCode).toBe(200)
    const answer = await t.bot(second.join_token_url, { id: 'msg_bound' })
    expect([answer.statusCode, answer.json().code]).toEqual([403, 'pass_mismatch'])
  })
})

describe('400 invalid_request', () => {
  test.each(['pass=a&pass=b', 'meeting_id=123', 'pass=%00', 'meeting_id=859962495 17'])(
    'for the query %s',
    async (query) => {
      const answer = await t.app.inject({ url: `/zoom/join-token?${query.replace(' ', '%20')}` })
      expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request'])
    },
  )
  test('for a GET with a body', async () => {
    const answer = await t.app.inject({
      url: '/zoom/join-token',
      payload: 'x',
      headers: { 'content-type': 'text/plain' },
    })
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_request'])
  })
})

test('405 method_not_allowed for HEAD and every other method, and nothing is minted', async () => {
  const { meeting } = await connected('head')
  const pass = await passFor('head', meeting)
  const { pathname, search } = new URL(pass.join_token_url)
  const before = minted()
  for (const method of METHODS.filter((each) => each !== 'GET') as 'HEAD'[]) {
    const answer = await t.app.inject({ method, url: pathname + search })
    expect([method, answer.statusCode]).toEqual([method, 405])
  }
  expect(minted()).toBe(before)
})

describe('404, when Zoom will not give a token', () => {
  const codeOf = async (url: string) => {
    const answer = await t.bot(url)
    return [answer.statusCode, answer.json().code]
  }
  test('meeting_not_mapped: nobody is known for this meeting', async () => {
    const pass = await t.createPass({ meeting: String(++meetings) })
    expect(await codeOf(pass.join_token_url)).toEqual([404, 'meeting_not_mapped'])
  })
  test('host_not_connected: the host is named but has not connected; heals with the connection', async () => {
    const email = 'later@example.com'
    const meeting = String(++meetings)
    t.zoom.addUser({ email })
    t.zoom.addMeeting({ id: meeting, host: email })
    const pass = await passFor('later', meeting)
    expect(await codeOf(pass.join_token_url)).toEqual([404, 'host_not_connected'])
    await t.connectHost('later', email)
    expect((await t.bot(pass.join_token_url)).statusCode).toBe(200)
  })
  test('reconnect_required: Zoom refuses the refresh token, and the host says why', async () => {
    const { email, meeting, host } = await connected('gone')
    const pass = await passFor('gone', meeting)
    t.zoom.revokeGrant(email)
    expect(await codeOf(pass.join_token_url)).toEqual([404, 'reconnect_required'])
    expect((await t.api('GET', `/v1/hosts/${host.id}`)).json()).toMatchObject({
      status: 'reconnect_required',
      status_reason: 'rejected_by_zoom',
    })
    expect(await codeOf(pass.join_token_url)).toEqual([404, 'reconnect_required'])
  })
  test('host_blocked: an admin disabled the app for this user', async () => {
    const { email, meeting } = await connected('blocked')
    const pass = await passFor('blocked', meeting)
    t.zoom.expireAccessTokens(email)
    t.zoom.addUser({ email, admin_disabled: true })
    expect(await codeOf(pass.join_token_url)).toEqual([404, 'host_blocked'])
  })
  test('not_the_host: Zoom will not make this token for this user (4700)', async () => {
    await connected('another')
    const { meeting } = await connected('owner')
    await t.api('PUT', `/v1/meetings/${meeting}`, { body: { external_user_id: 'another' } })
    const pass = await t.createPass({ meeting })
    t.zoom.setModes({ nonHostCode: 4700 })
    const answer = await codeOf(pass.join_token_url)
    t.zoom.setModes({ nonHostCode: 3001 })
    expect(answer).toEqual([404, 'not_the_host'])
  })
  test('local_recording_disabled: the first meaning of code 3000', async () => {
    const { meeting } = await connected('norecord', { local_recording: false })
    const pass = await passFor('norecord', meeting)
    expect(await codeOf(pass.join_token_url)).toEqual([404, 'local_recording_disabled'])
    expect(await settled(pass.id)).toMatchObject([
      { outcome: 'local_recording_disabled', zoom_status: 400, zoom_code: 3000 },
    ])
  })
  test('webinar_unsupported: the second meaning of code 3000', async () => {
    await connected('webinar')
    const webinar = String(++meetings)
    t.zoom.addMeeting({ id: webinar, host: 'webinar@example.com', kind: 'webinar' })
    const pass = await passFor('webinar', webinar)
    expect(await codeOf(pass.join_token_url)).toEqual([404, 'webinar_unsupported'])
  })
  test('meeting_not_found: Zoom does not know the number', async () => {
    await connected('unknown')
    const pass = await passFor('unknown', String(++meetings))
    expect(await codeOf(pass.join_token_url)).toEqual([404, 'meeting_not_found'])
  })
  test('missing_scope: the app may not make this token', async () => {
    const { meeting } = await connected('scope')
    const pass = await passFor('scope', meeting)
    t.zoom.setFault({
      match: { path: '/v2/meetings' },
      action: { type: 'zoom_error', code: 4711 },
    })
    expect(await codeOf(pass.join_token_url)).toEqual([404, 'missing_scope'])
  })
})

describe('try again', () => {
  const faulty = async (name: string, action: Parameters<TestApp['zoom']['setFault']>[0]['action'], times = 5) => {
    const { meeting } = await connected(name)
    const pass = await passFor(name, meeting)
    const fault = t.zoom.setFault({ match: { path: '/v2/meetings' }, times, action })
    const answer = await t.bot(pass.join_token_url)
    fault.clear()
    expect(await t.bot(pass.join_token_url)).toMatchObject({ statusCode: 200 })
    return { status: answer.statusCode, code: answer.json().code, retryAfter: Number(answer.headers['retry-after']) }
  }
  test('503 zoom_rate_limited with Zoom’s own Retry-After', async () => {
    const answer = await faulty('limited', { type: 'status', status: 429, headers: { 'retry-after': '7' } })
    expect(answer).toEqual({ status: 503, code: 'zoom_rate_limited', retryAfter: 7 })
  })
  test('502 zoom_unavailable for a failing Zoom', async () => {
    const answer = await faulty('failing', { type: 'status', status: 500 })
    expect(answer).toMatchObject({ status: 502, code: 'zoom_unavailable' })
  })
  test.each([
    ['html', { type: 'html' }],
    ['cut', { type: 'cut' }],
    ['oversized', { type: 'oversized' }],
    ['gzip bomb', { type: 'gzip_bomb' }],
    ['redirect', { type: 'redirect', status: 302, location: 'http://127.0.0.1:1/' }],
    ['a 200 without a token', { type: 'omit', field: 'token' }],
  ] as const)('502 zoom_unavailable for %s, never a 200', async (name, action) => {
    const answer = await faulty(name.replaceAll(' ', ''), action)
    expect(answer).toMatchObject({ status: 502, code: 'zoom_unavailable' })
  })
  test('504 zoom_timeout for a Zoom that hangs, within the bot’s patience', async () => {
    const answer = await faulty('hanging', { type: 'hang' })
    expect(answer).toMatchObject({ status: 504, code: 'zoom_timeout' })
  })
})
