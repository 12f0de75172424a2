import { describe, expect, test } from 'vitest'
import type { FaultAction } from '../../simulator/fault-schema.ts'
import { exchange, hostileApp } from '../helpers/hostile.ts'
import { grantRow, mintFault, refreshCalls, secondReplica, told } from '../helpers/vault.ts'

// the column "on mint" of the catalogue; what a refresh makes of the same replies is in vault-answers.test.ts
const h = await hostileApp({ ZOOM_TIMEOUT_MS: '1000' })
const { t, host } = h
const SECRET = 'upstream-text-nobody-may-see'
const body = (content: unknown, status = 200): FaultAction => ({ type: 'body', body: content, status })
const status = (code: number, headers: Record<string, string> = {}): FaultAction => ({
  type: 'status',
  status: code,
  headers,
  body: { message: SECRET },
})
const elsewhere = (code: number): FaultAction => ({
  type: 'redirect',
  status: code,
  location: `${t.zoom.url}/v2/stolen`,
})
const refusal = (code: number, message = '') => body({ code, message: `${message} ${SECRET}` }, 400)
const UNAVAILABLE = [502, 'zoom_unavailable'] as const

/** A mint that Zoom answers like this at every try: what the bot hears, and that neither grant nor service is the worse for it. */
async function minted(action: FaultAction) {
  h.nextSecond()
  const [before, rotations, log] = [await grantRow(t, host), refreshCalls(t, host), t.log.length]
  const fault = mintFault(t, host, action, { times: -1 })
  const answer = await exchange(h.port, h.bot())
  fault.clear()
  expect(t.log.slice(log).join('') + answer.head + answer.body).not.toContain(SECRET)
  expect(await grantRow(t, host)).toEqual(before)
  expect(refreshCalls(t, host)).toBe(rotations)
  await h.expectAlive()
  return answer
}
type Reply = [name: string, action: FaultAction, status: number, code: string]
const table = (replies: Reply[]) => {
  test.each(replies)('%s', async (_name, action, expected, code) => {
    const answer = await minted(action)
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([expected, code])
    if (expected >= 500) expect(answer.head).toMatch(/\nretry-after: [1-9]/)
  })
  h.counted(replies.length)
}

describe('a reply without a token that can be believed is 502, never a 200:', () => {
  const tokens = ['', 5, ['a'], null, {}, true, 'a\nb', ' ', 'a b', 'é', 'x'.repeat(20_000)]
  table([
    ['#181 no token', { type: 'omit', field: 'token' }, ...UNAVAILABLE],
    ...tokens.map((token): Reply => {
      const name = `#181 ${JSON.stringify(token)?.slice(0, 20)} for a token`
      return [name, { type: 'set', fields: { token } }, ...UNAVAILABLE]
    }),
    ['#182 {}', body({}), ...UNAVAILABLE],
    ['#182 null', body(null), ...UNAVAILABLE],
    ['#182 a list', body(['token']), ...UNAVAILABLE],
    ['#182 an empty 200', body(''), ...UNAVAILABLE],
    ['#182 a 204', { type: 'status', status: 204 }, ...UNAVAILABLE],
    ['#183 a maintenance page', { type: 'html' }, ...UNAVAILABLE],
    ['#184 a body shorter than promised', { type: 'cut' }, ...UNAVAILABLE],
    ['#184 chunks that end in the middle', { type: 'cut', chunked: true }, ...UNAVAILABLE],
    ['#185 a reset after the request', { type: 'reset' }, ...UNAVAILABLE],
    ['#186 10 MiB of JSON', { type: 'oversized' }, ...UNAVAILABLE],
    ['#186 200 MB of JSON', { type: 'oversized', bytes: 200_000_000 }, ...UNAVAILABLE],
    ['#186 a gzip bomb', { type: 'gzip_bomb' }, ...UNAVAILABLE],
    ['#186 5,000 header lines', { type: 'many_headers', count: 5000 }, ...UNAVAILABLE],
    ...[301, 302, 303, 307, 308].map((code): Reply => [`#189 ${code} to elsewhere`, elsewhere(code), ...UNAVAILABLE]),
    ['#190 a redirect to itself', { type: 'redirect', status: 302, location: '' }, ...UNAVAILABLE],
    ['#193 an HTML 400', { type: 'html', status: 400 }, ...UNAVAILABLE],
    ['#195 a firewall’s page with status 403', { type: 'html', status: 403 }, ...UNAVAILABLE],
    ['#197 500', status(500), ...UNAVAILABLE],
    ['#197 502', status(502), ...UNAVAILABLE],
    ['#197 503', status(503), ...UNAVAILABLE],
    ['#197 504', status(504), ...UNAVAILABLE],
    ['#197 a page with status 500', { type: 'html', status: 500 }, ...UNAVAILABLE],
    ['#200 a 100 Continue that nobody asked for', { type: 'informational', status: 100 }, ...UNAVAILABLE],
  ])
  test('#189 a redirect is never followed', () => {
    expect(t.zoom.log({ path: '/v2/stolen' })).toEqual([])
  })
  h.counted(1)
})

describe('a reply that says wait is 503 with a bounded wait:', () => {
  const waits: [string, Record<string, string>, RegExp][] = [
    ['without Retry-After', {}, /\nretry-after: 1\r/],
    ['with 7', { 'retry-after': '7' }, /\nretry-after: 7\r/],
    ['with a huge one', { 'retry-after': '86400' }, /\nretry-after: 60\r/],
    ['with a negative one', { 'retry-after': '-5' }, /\nretry-after: 1\r/],
    ['with an HTTP date', { 'retry-after': 'Fri, 01 Jan 2100 00:00:00 GMT' }, /\nretry-after: 60\r/],
    ['with text', { 'retry-after': `soon ${SECRET}` }, /\nretry-after: 1\r/],
  ]
  test.each(waits)('#196 429 %s', async (_, headers, retryAfter) => {
    const answer = await minted(status(429, headers))
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([503, 'zoom_rate_limited'])
    expect(answer.head).toMatch(retryAfter)
  })
  h.counted(waits.length)
})

describe('a reply that does not come in time is 504 within the bot’s patience:', () => {
  table([
    ['#187 a hang before the headers', { type: 'hang' }, 504, 'zoom_timeout'],
    ['#187 a hang after them', { type: 'hang', stage: 'after_headers' }, 504, 'zoom_timeout'],
    ['#187 a byte per 200 ms', { type: 'drip', intervalMs: 200 }, 504, 'zoom_timeout'],
  ])
})

describe('a refusal of Zoom’s is 404 with its code, and costs no refresh:', () => {
  table([
    ['#202 3001', refusal(3001), 404, 'meeting_not_found'],
    ['#202 300', refusal(300), 404, 'meeting_not_found'],
    ['#202 1001', refusal(1001), 404, 'not_the_host'],
    ['#202 4711', refusal(4711), 404, 'missing_scope'],
    ['#202 3000 for a webinar', refusal(3000, 'Cannot access Webinar information.'), 404, 'webinar_unsupported'],
    ['#202 3000 for recording', refusal(3000, 'Local recording is off.'), 404, 'local_recording_disabled'],
    ['#193 a code that nobody knows', refusal(999_999), 404, 'not_the_host'],
  ])
})

test('#200 a 103 Early Hints before the answer is no answer', async () => {
  expect((await minted({ type: 'informational', status: 103 })).status).toBe(200)
})

test('#203 a kept connection that Zoom closes just as a mint is sent costs one try more, and no refresh', async () => {
  const before = refreshCalls(t, host)
  mintFault(t, host, { type: 'reset' })
  const answer = await exchange(h.port, h.bot())
  expect([answer.status, refreshCalls(t, host)]).toEqual([200, before])
})

test.each(['http://127.0.0.1:1/v2', 'https://zoom.invalid/v2'])(
  '#188 nobody at %s is 502, and no grant is the worse for it',
  async (apiBaseUrl) => {
    const before = await grantRow(t, host)
    const replica = await secondReplica(t, { ZOOM_API_BASE_URL: apiBaseUrl })
    expect(told(await replica.bot(host.joinUrl))).toEqual([...UNAVAILABLE])
    expect(await grantRow(t, host)).toEqual(before)
    await replica.app.close()
  },
)
h.counted(4)
