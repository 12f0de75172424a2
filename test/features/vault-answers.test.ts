import { describe, expect, test } from 'vitest'
import type { FaultAction } from '../../simulator/fault-schema.ts'
import { rows } from '../helpers/connect.ts'
import {
  expireAccessToken,
  grantRow,
  liveRefreshToken,
  newVaultHost,
  refreshCalls,
  refreshFault,
  secondReplica,
  told,
  type VaultHost,
  vaultApp,
} from '../helpers/vault.ts'

const t = await vaultApp()

/** A bot's mint whose refresh is answered like this; where given, the action is made for the host. */
async function refreshAnswered(answer: FaultAction | ((host: VaultHost) => FaultAction)) {
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  refreshFault(t, host, typeof answer === 'function' ? answer(host) : answer)
  return { host, bot: await t.bot(host.joinUrl) }
}
const errorsOf = ({ grantId }: VaultHost) =>
  t.log.map((line) => JSON.parse(line)).filter(({ level, grant_id }) => level === 'error' && grant_id === grantId)
const shownHost = async ({ hostId }: VaultHost) => (await t.api('GET', `/v1/hosts/${hostId}`)).json()

const UNKNOWN = { status: 'connected', reason: null, gen: 1, isIntentOpen: true, attempts: ['ambiguous'] }
const set = (fields: Record<string, unknown>): FaultAction => ({ type: 'set', fields })
const body = (content: unknown, status = 200): FaultAction => ({ type: 'body', body: content, status })

describe('an answer that cannot be believed leaves intent and lease as they are, and never condemns the grant:', () => {
  const cases: [string, FaultAction][] = [
    ['a 200 without access_token', { type: 'omit', field: 'access_token' }],
    ['an empty access_token', set({ access_token: '' })],
    ['a number for a token', set({ access_token: 5 })],
    ['an array for a token', set({ refresh_token: ['a'] })],
    ['null for a token', set({ refresh_token: null })],
    ['a token with a line break', set({ access_token: 'a\nb' })],
    ['a 200 {}', body({})],
    ['a 200 null', body(null)],
    ['an empty 200', body('')],
    ['a 204', { type: 'status', status: 204 }],
    ['a maintenance page with status 200', { type: 'html' }],
    ['a page with status 400', { type: 'html', status: 400 }],
    ['a firewall’s page with status 403', { type: 'html', status: 403 }],
    ['a gateway’s JSON with status 403', body({ message: 'Forbidden' }, 403)],
    ['a 408', { type: 'status', status: 408 }],
    ['a body shorter than promised', { type: 'cut' }],
    ['a chunked body that ends in the middle', { type: 'cut', chunked: true }],
    ['a reset after the request was sent', { type: 'reset' }],
    ['10 MiB of JSON', { type: 'oversized' }],
    ['a gzip bomb', { type: 'gzip_bomb' }],
    ['5,000 header lines', { type: 'many_headers', count: 5000 }],
    ['a 100 Continue that nobody asked for, at which the HTTP client hangs up', { type: 'informational', status: 100 }],
  ]
  test.each(cases)('%s', async (_, action) => {
    const { host, bot } = await refreshAnswered(action)
    expect(told(bot)).toEqual([502, 'zoom_unavailable'])
    const row = await grantRow(t, host)
    expect(row).toMatchObject(UNKNOWN)
    expect(row.leaseSeconds).toBeGreaterThan(40)
    expect(refreshCalls(t, host)).toBe(1)
    expect(await shownHost(host)).toMatchObject({ status: 'connected', status_reason: null })
  })

  test.each([301, 302, 303, 307, 308])('a redirect with status %i, which is never followed', async (status) => {
    const { host, bot } = await refreshAnswered({ type: 'redirect', status, location: `${t.zoom.url}/oauth/token` })
    expect(told(bot)).toEqual([502, 'zoom_unavailable'])
    expect(await grantRow(t, host)).toMatchObject(UNKNOWN)
    expect(refreshCalls(t, host)).toBe(1)
  })

  test.each<[string, FaultAction | ((host: VaultHost) => FaultAction)]>([
    ['a 200 without refresh_token', { type: 'omit', field: 'refresh_token' }],
    ['a pair of another user', set({ access_token: jwtOf('somebody-else') })],
  ])('%s, which also alarms', async (_, action) => {
    const { host, bot } = await refreshAnswered(action)
    expect(told(bot)).toEqual([502, 'zoom_unavailable'])
    expect(await grantRow(t, host)).toMatchObject(UNKNOWN)
    expect(errorsOf(host)).toHaveLength(1)
  })

  test('a hang before or after the headers, or a byte per 200 ms: the bot gets 504 in time, the refresh waits on', async () => {
    const actions: FaultAction[] = [
      { type: 'hang' },
      { type: 'hang', stage: 'after_headers' },
      { type: 'drip', intervalMs: 200 },
    ]
    const started = performance.now()
    const answered = await Promise.all(actions.map(refreshAnswered))
    expect(performance.now() - started).toBeLessThan(6500)
    for (const { host, bot } of answered) {
      expect(told(bot)).toEqual([504, 'zoom_timeout'])
      expect(await grantRow(t, host)).toMatchObject({ ...UNKNOWN, attempts: ['open'] })
    }
    await expect
      .poll(async () => await Promise.all(answered.map(({ host }) => grantRow(t, host))), { timeout: 9000 })
      .toMatchObject([UNKNOWN, UNKNOWN, UNKNOWN])
  })
})

function jwtOf(uid: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'HS512' })}.${part({ uid, aid: 'account' })}.c2ln`
}

describe('an answer that says Zoom may have rotated, but not now, keeps the intent and shortens the lease to 5 s:', () => {
  test.each<[string, FaultAction]>([
    ...[500, 502, 503, 504].map((status): [string, FaultAction] => [`${status}`, { type: 'status', status }]),
    ['500 with a page', { type: 'html', status: 500 }],
  ])('%s', async (_, action) => {
    const { host, bot } = await refreshAnswered(action)
    expect(told(bot)).toEqual([502, 'zoom_unavailable'])
    const row = await grantRow(t, host)
    expect(row).toMatchObject({ ...UNKNOWN, attempts: ['ambiguous'] })
    expect([4, 5]).toContain(row.leaseSeconds)
    expect(told(await t.bot(host.joinUrl))).toEqual([502, 'zoom_unavailable'])
    expect(refreshCalls(t, host)).toBe(1)
  })
})

const RELEASED = { status: 'connected', reason: null, gen: 1, isIntentOpen: false, attempts: ['retryable'] }

describe('an answer that spent nothing gives the lease back and closes the intent:', () => {
  test.each<[string, string | undefined, number]>([
    ['Retry-After in seconds', '7', 7],
    ['no Retry-After', undefined, 1],
    ['a huge Retry-After', '86400', 60],
    ['a negative Retry-After', '-5', 1],
    ['an HTTP date', new Date(Date.now() + 3600_000).toUTCString(), 60],
  ])('429 with %s', async (_, retryAfter, seconds) => {
    const headers = retryAfter === undefined ? {} : { 'retry-after': retryAfter }
    const { host, bot } = await refreshAnswered({ type: 'status', status: 429, headers })
    expect(told(bot)).toEqual([503, 'zoom_rate_limited'])
    expect(bot.headers['retry-after']).toBe(String(seconds))
    const row = await grantRow(t, host)
    expect(row).toMatchObject(RELEASED)
    expect(seconds - row.leaseSeconds).toBeLessThanOrEqual(1)
  })

  test.each<[string, FaultAction]>([
    ['400 invalid_request', body({ error: 'invalid_request', reason: 'Something.' }, 400)],
    ['400 with an error nobody knows', body({ error: 'teapot', reason: 'Something.' }, 400)],
    ['a bug of ours (4705)', { type: 'zoom_error', code: 4705 }],
    ['passing trouble (4732)', { type: 'zoom_error', code: 4732 }],
  ])('%s, which also alarms and is no verdict', async (_, action) => {
    const { host, bot } = await refreshAnswered(action)
    expect(told(bot)).toEqual([502, 'zoom_unavailable'])
    expect(await grantRow(t, host)).toMatchObject(RELEASED)
    expect(errorsOf(host)).toHaveLength(1)
  })

  test('4738: the host is blocked, its grant is not touched, and nothing more is sent', async () => {
    const { host, bot } = await refreshAnswered({ type: 'zoom_error', code: 4738 })
    expect(told(bot)).toEqual([404, 'host_blocked'])
    expect(await grantRow(t, host)).toMatchObject({ ...RELEASED, leaseSeconds: 0 })
    expect(await shownHost(host)).toMatchObject({ status: 'blocked', status_reason: 'admin_disabled' })
    expect(told(await t.bot(host.joinUrl))).toEqual([404, 'host_blocked'])
    expect(refreshCalls(t, host)).toBe(1)
  })

  test.each([
    ['a closed port', 'http://127.0.0.1:1'],
    ['a server without TLS', () => t.zoom.url.replace('http:', 'https:')],
  ])('%s: provably never sent', async (_, origin) => {
    const replica = await secondReplica(t, { ZOOM_OAUTH_BASE_URL: typeof origin === 'string' ? origin : origin() })
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    const bot = await replica.bot(host.joinUrl)
    const row = await grantRow(t, host)
    await replica.app.close()
    expect(told(bot)).toEqual([502, 'zoom_unavailable'])
    expect(row).toMatchObject({ ...RELEASED, leaseSeconds: 0 })
    expect(await t.bot(host.joinUrl)).toMatchObject({ statusCode: 200 })
  })
})

describe('a verdict, on a clean history:', () => {
  test.each<[string, FaultAction, string]>([
    ['invalid_grant', body({ error: 'invalid_grant', reason: 'Invalid Token!' }, 400), 'rejected_by_zoom'],
    ['the older form', body({ error: 'invalid_request', reason: 'Invalid Token!' }, 400), 'rejected_by_zoom'],
    ['4735', { type: 'zoom_error', code: 4735 }, 'user_removed'],
    ['4741', { type: 'zoom_error', code: 4741 }, 'superseded'],
    ['4711', { type: 'zoom_error', code: 4711 }, 'scopes_changed'],
    ['4737', { type: 'zoom_error', code: 4737 }, 'rejected_by_zoom'],
    ['4740', { type: 'zoom_error', code: 4740 }, 'rejected_by_zoom'],
  ])('%s', async (_, action, reason) => {
    const { host, bot } = await refreshAnswered(action)
    expect(told(bot)).toEqual([404, 'reconnect_required'])
    const row = await grantRow(t, host)
    expect(row).toMatchObject({ status: 'reconnect_required', reason, gen: 1, leaseSeconds: 0, attempts: ['rejected'] })
    expect(await shownHost(host)).toMatchObject({ status: 'reconnect_required', status_reason: reason })
    // a dead grant is never tried again on the minting path
    expect(told(await t.bot(host.joinUrl))).toEqual([404, 'reconnect_required'])
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('invalid_grant of a token past its 90 days: expired', async () => {
    const host = await newVaultHost(t)
    const old = `UPDATE grant_tokens SET refreshed_at = now() - interval '91 days' WHERE grant_id = $1`
    await rows(t, old, [host.grantId])
    t.zoom.revokeGrant(host.email)
    await expireAccessToken(t, host)
    expect(told(await t.bot(host.joinUrl))).toEqual([404, 'reconnect_required'])
    expect(await grantRow(t, host)).toMatchObject({ status: 'reconnect_required', reason: 'expired' })
  })
})

describe('a pair that came, however oddly, is stored:', () => {
  const STORED = { status: 'connected', gen: 2, isIntentOpen: false, leaseSeconds: 0, attempts: ['ok'] }
  const lifeOf = async ({ grantId }: VaultHost) => {
    const life = `SELECT round(EXTRACT(EPOCH FROM access_expires_at - refreshed_at))::int AS seconds
                    FROM grant_tokens WHERE grant_id = $1`
    return (await rows<{ seconds: number }>(t, life, [grantId]))[0]?.seconds
  }
  test.each<[string, FaultAction | ((host: VaultHost) => FaultAction)]>([
    ['the same refresh token again', (host) => set({ refresh_token: liveRefreshToken(t, host) })],
    ['expires_in missing', { type: 'omit', field: 'expires_in' }],
    ['expires_in as text', set({ expires_in: 'soon' })],
    ['expires_in 0', set({ expires_in: 0 })],
    ['expires_in 10^9', set({ expires_in: 1e9 })],
    ['no scope', { type: 'omit', field: 'scope' }],
    ['103 Early Hints first', { type: 'informational', status: 103 }],
    ['300 header lines', { type: 'many_headers', count: 300 }],
  ])('%s', async (_, action) => {
    const { host, bot } = await refreshAnswered(action)
    expect(told(bot)).toEqual([200])
    expect(await grantRow(t, host)).toMatchObject(STORED)
    expect(await lifeOf(host)).toBe(3600)
    expect(await shownHost(host)).toMatchObject({ missing_scopes: [] })
  })

  test('fewer scopes: stored, and shown as missing', async () => {
    const { host, bot } = await refreshAnswered(set({ scope: 'meeting:read:local_recording_token' }))
    expect(told(bot)).toEqual([200])
    expect(await grantRow(t, host)).toMatchObject(STORED)
    expect((await shownHost(host)).missing_scopes).not.toEqual([])
  })
})
