import { describe, expect, onTestFinished, test } from 'vitest'
import { AccessTokenRefused } from '../../../src/zoom/faults.ts'
import { createZoomHttp } from '../../../src/zoom/http.ts'
import { createZoomMint, type MintRequest } from '../../../src/zoom/mint.ts'
import { createZoomUsers } from '../../../src/zoom/users.ts'
import { jsonAnswer, startRawServer } from '../../helpers/raw-server.ts'

/** Answers in turn, the last one for ever; null closes the connection. */
async function zoom(...answers: (string | null)[]) {
  const server = await startRawServer((socket) => {
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    if (answer === null) socket.destroy()
    else socket.write(answer as string)
  })
  const http = createZoomHttp({ baseUrl: `${server.url}/v2`, timeoutMs: 2000 })
  onTestFinished(() => http.close())
  const request: MintRequest = { kind: 'join', meetingId: '85996249517', accessToken: 'at-canary' }
  const mint = (more: Partial<MintRequest> = {}) =>
    createZoomMint({ http, timeoutMs: 1000 }).mint({ ...request, ...more })
  return { server, mint, users: createZoomUsers({ http, cloud: 'commercial' }) }
}
const token = jsonAnswer(200, { token: 'the-token', expire_in: 120 })

describe('a mint', () => {
  test.each([
    ['join', '/v2/meetings/85996249517/jointoken/local_recording?bypass_waiting_room=true'],
    ['obf', '/v2/users/me/token?type=onbehalf&meeting_id=85996249517'],
    ['zak', '/v2/users/me/token?type=zak&ttl=300'],
  ] as const)('of kind %s is exactly one request', async (kind, target) => {
    const { mint, server } = await zoom(token)
    expect(await mint({ kind })).toBe('the-token')
    expect(server.requests.length).toBe(1)
    expect(server.requests[0]).toMatch(/\r\nauthorization: Bearer at-canary\r\n/)
    expect(server.requests[0]?.split(' ')[1]).toBe(target)
  })

  test.each([
    '..',
    '%2e%2e',
    '85996249517/../../users/me',
    '85996249517?type=zak',
    'me',
    '',
    '85996249517\n',
    '\u0661'.repeat(9),
  ])('for the meeting id %j is refused before any request', async (meetingId) => {
    const { mint, server } = await zoom(token)
    for (const kind of ['join', 'obf', 'zak'] as const) {
      await expect(mint({ kind, meetingId })).rejects.toMatchObject({ code: 'invalid_request' })
    }
    expect(server.requests).toEqual([])
  })

  test.each([
    { expire_in: 120 },
    { token: '' },
    { token: 5 },
    { token: null },
    { token: ['t'] },
    { token: 'a b' },
    { token: 'a\n' },
    { token: 'x'.repeat(8193) },
    null,
    [],
  ])('answered 200 with %j is zoom_unavailable', async (body) => {
    const { mint } = await zoom(jsonAnswer(200, body))
    await expect(mint()).rejects.toMatchObject({ code: 'zoom_unavailable', zoomStatus: 200 })
  })

  test('answered with another success than 200 hands nothing out', async () => {
    const { mint } = await zoom(jsonAnswer(206, { token: 'part' }))
    await expect(mint()).rejects.toMatchObject({ code: 'zoom_unavailable', zoomStatus: 206 })
  })

  test('with a refused access token says so, and holds no secret', async () => {
    const { mint, server } = await zoom(jsonAnswer(401, { code: 124, message: 'Access token is expired.' }))
    const error: unknown = await mint().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(AccessTokenRefused)
    expect([String(error), server.requests.length]).toEqual([expect.not.stringContaining('canary'), 1])
  })

  test.each([
    [404, { code: 3001, message: 'x' }, 'meeting_not_found'],
    [429, { code: 429, message: 'x' }, 'zoom_rate_limited'],
  ])('refused with %i is not tried again', async (status, body, code) => {
    const { mint, server } = await zoom(jsonAnswer(status, body))
    await expect(mint()).rejects.toMatchObject({ code, zoomStatus: status })
    expect(server.requests.length).toBe(1)
  })

  test('is tried once more after a 5xx or a connection that broke', async () => {
    for (const trouble of [jsonAnswer(503, {}), null]) {
      const { mint, server } = await zoom(trouble, token)
      expect([await mint(), server.requests.length]).toEqual(['the-token', 2])
    }
  })

  test('is given up after the second trouble', async () => {
    const failing = await zoom(jsonAnswer(503, {}))
    await expect(failing.mint()).rejects.toMatchObject({ code: 'zoom_unavailable', zoomStatus: 503 })
    const breaking = await zoom(null)
    await expect(breaking.mint()).rejects.toMatchObject({ code: 'zoom_unavailable', reason: 'broken' })
    expect([failing.server.requests.length, breaking.server.requests.length]).toEqual([2, 2])
  })

  test('is not tried again when the caller cannot wait for it', async () => {
    const { mint, server } = await zoom(jsonAnswer(503, {}))
    await expect(mint({ timeoutMs: 200 })).rejects.toMatchObject({ code: 'zoom_unavailable' })
    expect(server.requests.length).toBe(1)
  })

  test('that hangs is zoom_timeout, and not tried again', async () => {
    const { mint, server } = await zoom('HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{')
    await expect(mint({ timeoutMs: 60 })).rejects.toMatchObject({ code: 'zoom_timeout', reason: 'timeout' })
    expect(server.requests.length).toBe(1)
  })

  test('to nobody is zoom_unavailable', async () => {
    const http = createZoomHttp({ baseUrl: 'http://127.0.0.1:1', timeoutMs: 500 })
    onTestFinished(() => http.close())
    const minting = createZoomMint({ http, timeoutMs: 500 }).mint({
      kind: 'zak',
      meetingId: '123456789',
      accessToken: 'a',
    })
    await expect(minting).rejects.toMatchObject({ code: 'zoom_unavailable', reason: 'not_sent' })
  })

  test('passes a bug on as it is', async () => {
    const http = { send: () => Promise.reject(new TypeError('bug')) }
    const minting = createZoomMint({ http, timeoutMs: 500 }).mint({
      kind: 'zak',
      meetingId: '123456789',
      accessToken: 'a',
    })
    await expect(minting).rejects.toThrow(TypeError)
    await expect(createZoomUsers({ http, cloud: 'commercial' }).me('a')).rejects.toThrow(TypeError)
  })
})

describe('who an access token belongs to', () => {
  const user = {
    id: 'u-1',
    account_id: 'a-1',
    email: 'Ann@example.com',
    verified: 1,
    display_name: 'Ann',
    pmi: 1234567890,
    host_key: '998877',
  }
  const known = {
    outcome: 'known',
    id: 'u-1',
    accountId: 'a-1',
    email: 'Ann@example.com',
    emailVerified: true,
    displayName: 'Ann',
    pmi: '1234567890',
    personalLink: null,
  }
  const me = async (status: number, body: unknown) => (await zoom(jsonAnswer(status, body))).users.me('at-canary')

  test('is told without the host key', async () => {
    const { users, server } = await zoom(jsonAnswer(200, user))
    expect(await users.me('at-canary')).toEqual(known)
    expect(server.requests[0]).toMatch(/^GET \/v2\/users\/me HTTP/)
  })

  test.each([
    [1, true],
    [true, true],
    [undefined, true],
    [0, false],
    [false, false],
    [null, false],
    ['1', false],
  ])('with verified %j has a verified address: %s', async (verified, emailVerified) => {
    expect(await me(200, { ...user, verified })).toMatchObject({ email: user.email, emailVerified })
  })

  test('lacks what Zoom does not say, or says oddly', async () => {
    const bare = { email: null, emailVerified: false, displayName: null, pmi: null, personalLink: null }
    expect(await me(200, { id: 'u', account_id: 'a' })).toMatchObject(bare)
    expect(
      await me(200, { id: 'u', account_id: 'a', email: 'x', display_name: ' \u202e\0 ', pmi: 'me' }),
    ).toMatchObject(bare)
    expect(await me(200, { id: 'u', account_id: 'a', email: 7, display_name: 7, pmi: {} })).toMatchObject(bare)
  })

  test('has a personal link by either of Zoom’s fields, never with its password, and none where they lead elsewhere', async () => {
    const linkOf = async (fields: object) => {
      const answer = await me(200, { ...user, ...fields })
      return answer.outcome === 'known' ? answer.personalLink : answer
    }
    const link = 'https://acme.zoom.us/my/Ann?pwd=pwd-canary'
    const ann = { host: 'acme.zoom.us', name: 'ann' }
    expect(await linkOf({ vanity_url: link })).toEqual(ann)
    expect(await linkOf({ vanity_url: '', personal_meeting_url: link })).toEqual(ann)
    const numbered = 'https://us02web.zoom.us/j/1234567890?pwd=x'
    for (const vanity_url of [
      '',
      7,
      'x'.repeat(3000),
      numbered,
      'https://evil.example/my/ann',
      'https://zoomgov.com/my/ann',
    ])
      expect(await linkOf({ vanity_url, personal_meeting_url: numbered })).toBeNull()
  })

  test('has a name made of its parts where there is no other, and a personal number as text', async () => {
    expect(
      await me(200, { id: 'u', account_id: 'a', first_name: 'Ann', last_name: 'Lee', pmi: '9876543210' }),
    ).toMatchObject({
      displayName: 'Ann Lee',
      pmi: '9876543210',
    })
  })

  test.each([
    [400, { code: 4711, message: 'x' }, 'no_scope'],
    [401, { code: 4711, message: 'x' }, 'no_scope'],
    [401, { code: 124, message: 'x' }, 'unavailable'],
    [429, {}, 'unavailable'],
    [500, {}, 'unavailable'],
    [200, {}, 'unavailable'],
    [200, { ...user, id: 'a b' }, 'unavailable'],
    [200, { ...user, account_id: undefined }, 'unavailable'],
  ])('by %i %j is %s', async (status, body, outcome) => {
    expect(await me(status, body)).toEqual({ outcome })
  })

  test('is unavailable where Zoom hangs', async () => {
    expect(await (await zoom('HTTP/1.1 200 OK\r\n')).users.me('a', 30)).toEqual({ outcome: 'unavailable' })
  })
})
