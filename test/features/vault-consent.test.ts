import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_MODES } from '../../simulator/seed.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenant, OTHER_HOST, revocations, rows } from '../helpers/connect.ts'
import { unique } from '../helpers/management.ts'
import {
  endLease,
  expireAccessToken,
  grantRow,
  liveRefreshToken,
  newVaultHost,
  refreshFault,
  told,
  type VaultHost,
} from '../helpers/vault.ts'

let t: TestApp
let b: Awaited<ReturnType<typeof newTenant>>

beforeAll(async () => {
  t = await startTestApp()
  b = await newTenant(t)
})
afterAll(() => t.stop())
afterEach(() => {
  t.zoom.clearFaults()
  t.zoom.setModes(DEFAULT_MODES)
})

interface Link {
  hostId: string
  url: string
  headers: Record<string, string>
  externalUserId: string
}

/** A Zoom user whom tenant A (`default`) and tenant B have both connected, each with a pass. */
async function shared() {
  const host = await newVaultHost(t)
  const ofA: Link = { hostId: host.hostId, url: host.joinUrl, headers: {}, externalUserId: host.externalUserId }
  const externalUserId = unique()
  const pass = await t.createPass({ meeting: host.meeting, host: { external_user_id: externalUserId } }, b.headers)
  const { id } = await t.connectHost(externalUserId, host.email, b.headers)
  const ofB: Link = { hostId: id, url: pass.join_token_url, headers: b.headers, externalUserId }
  return { host, ofA, ofB }
}
const mint = async ({ url }: Link) => told(await t.bot(url))
const show = async ({ hostId, headers }: Link) => (await t.api('GET', `/v1/hosts/${hostId}`, { headers })).json()
const remove = ({ hostId, headers }: Link, query = '') => t.api('DELETE', `/v1/hosts/${hostId}${query}`, { headers })
async function reconnect({ externalUserId, headers }: Link, { email }: VaultHost) {
  const link = await t.connectLink({ external_user_id: externalUserId }, headers)
  expect((await t.follow(link, email)).statusCode).toBe(200)
}
async function stored({ grantId }: VaultHost) {
  const [row] = await rows(
    t,
    `SELECT status, refresh_ct, access_ct, email, display_name FROM grant_tokens JOIN grants ON id = grant_id
      WHERE grant_id = $1`,
    [grantId],
  )
  return row
}
const ERASED = { status: 'disconnected', refresh_ct: null, access_ct: null, email: null, display_name: null }

describe('one grant of two tenants', () => {
  test('a second tenant’s authorisation keeps the first one’s bots minting, and its host as it was', async () => {
    const host = await newVaultHost(t)
    const ofA: Link = { hostId: host.hostId, url: host.joinUrl, headers: {}, externalUserId: host.externalUserId }
    const before = await show(ofA)
    expect(await mint(ofA)).toEqual([200])
    await t.connectHost(unique(), host.email, b.headers)
    expect(await mint(ofA)).toEqual([200])
    await expireAccessToken(t, host)
    expect(await mint(ofA)).toEqual([200])
    const ofTokens = { last_refreshed_at: null, refresh_expires_at: null }
    expect({ ...(await show(ofA)), ...ofTokens }).toEqual({ ...before, ...ofTokens })
  })

  test('a second tenant’s refused flow does too: the new pair serves, and nothing is revoked', async () => {
    const host = await newVaultHost(t)
    const before = revocations(t).length
    const session = { external_user_id: unique(), expected_email: OTHER_HOST }
    expect((await t.follow(await t.connectLink(session, b.headers), host.email)).statusCode).toBe(400)
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
    await expireAccessToken(t, host)
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
    expect(revocations(t).length).toBe(before)
  })

  test('an expired access token is refreshed once for both', async () => {
    const { host, ofA, ofB } = await shared()
    await expireAccessToken(t, host)
    expect(await Promise.all([mint(ofA), mint(ofB), mint(ofA), mint(ofB)])).toEqual(Array(4).fill([200]))
    expect((await grantRow(t, host)).attempts).toEqual(['ok'])
  })
})

describe('a reconnect through tenant B', () => {
  test.each(['deauthorized', 'user_removed', 'rejected_by_zoom'])(
    'after %s serves B’s bots and not A’s, until the user reconnects through A as well',
    async (reason) => {
      const { host, ofA, ofB } = await shared()
      const dead = `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = $2 WHERE grant_id = $1`
      await rows(t, dead, [host.grantId, reason])
      expect([await mint(ofA), await mint(ofB)]).toEqual(Array(2).fill([404, 'reconnect_required']))
      await reconnect(ofB, host)
      expect([await mint(ofA), await mint(ofB)]).toEqual([[404, 'reconnect_required'], [200]])
      expect(await show(ofA)).toMatchObject({ status: 'reconnect_required', status_reason: reason })
      await reconnect(ofA, host)
      expect([await mint(ofA), await mint(ofB)]).toEqual([[200], [200]])
      expect(await show(ofA)).toMatchObject({ status: 'connected', status_reason: null })
    },
  )

  test('once Zoom has really refused the grant: the same, by the codes of Zoom alone', async () => {
    const { host, ofA, ofB } = await shared()
    t.zoom.revokeGrant(host.email)
    expect(await mint(ofA)).toEqual([404, 'reconnect_required'])
    await reconnect(ofB, host)
    expect([await mint(ofA), await mint(ofB)]).toEqual([[404, 'reconnect_required'], [200]])
  })

  test('after a rotation that was lost on the way heals both: the user never took anything away', async () => {
    const { host, ofA, ofB } = await shared()
    await expireAccessToken(t, host)
    refreshFault(t, host, { type: 'reset' })
    await mint(ofA)
    await endLease(t, host)
    expect(await mint(ofB)).toEqual([404, 'reconnect_required'])
    expect(await grantRow(t, host)).toMatchObject({ reason: 'rotation_lost' })
    await reconnect(ofB, host)
    expect([await mint(ofA), await mint(ofB)]).toEqual([[200], [200]])
  })
})

describe('letting a grant go', () => {
  test('revokes it at Zoom with the last link only, once, and erases tokens and person', async () => {
    const { host, ofA, ofB } = await shared()
    const before = revocations(t).length
    expect((await remove(ofB)).statusCode).toBe(204)
    expect(await mint(ofA)).toEqual([200])
    expect([revocations(t).length - before, liveRefreshToken(t, host)]).toEqual([0, expect.any(String)])
    expect((await remove(ofA)).statusCode).toBe(204)
    expect([revocations(t).length - before, liveRefreshToken(t, host)]).toEqual([1, null])
    expect(await stored(host)).toEqual(ERASED)
    expect(await mint(ofA)).toEqual([404, 'host_not_connected'])
  })

  test('refreshes first where only a living access token can revoke', async () => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    await remove({ ...host, url: '', headers: {} })
    expect(liveRefreshToken(t, host)).toBeNull()
    expect(await stored(host)).toEqual(ERASED)
  })

  test('with revoke=false asks nothing of Zoom and erases all the same', async () => {
    const host = await newVaultHost(t)
    const before = t.zoom.log().length
    await remove({ ...host, url: '', headers: {} }, '?revoke=false')
    expect(t.zoom.log().length).toBe(before)
    expect(liveRefreshToken(t, host)).not.toBeNull()
    expect(await stored(host)).toEqual(ERASED)
  })

  test.each([
    ['a 500', 'unavailable', { type: 'status', status: 500 }],
    ['no answer', 'unavailable', { type: 'reset' }],
    [
      'a refusal',
      'refused',
      { type: 'body', status: 400, body: { error: 'invalid_request', reason: 'Invalid Token!' } },
    ],
  ] as const)('erases also where Zoom does not revoke (%s), which is recorded', async (_, outcome, action) => {
    const host = await newVaultHost(t)
    t.zoom.setFault({ match: { path: '/oauth/revoke' }, effect: 'never', action })
    expect((await remove({ ...host, url: '', headers: {} })).statusCode).toBe(204)
    expect(await stored(host)).toEqual(ERASED)
    const recorded = t.log.map((line) => JSON.parse(line)).filter(({ grant_id }) => grant_id === host.grantId)
    expect(recorded.at(-1)).toMatchObject({ outcome })
  })

  test('revokes with what is left of the access token where its grant can bring no new one', async () => {
    t.zoom.setModes({ refreshKillsAccessToken: false })
    const host = await newVaultHost(t)
    const lost = `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'rotation_lost' WHERE grant_id = $1`
    await rows(t, lost, [host.grantId])
    await remove({ ...host, url: '', headers: {} })
    expect(liveRefreshToken(t, host)).toBeNull()
  })

  test('is no end: the same user connects again, on the same grant and a generation never used before', async () => {
    const host = await newVaultHost(t)
    await remove({ ...host, url: '', headers: {} })
    await t.connectHost(host.externalUserId, host.email)
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
    expect(await grantRow(t, host)).toMatchObject({ status: 'connected', gen: 3 })
  })
})

/** Zoom's tokens tell their time in whole seconds. */
async function nextSecond(): Promise<void> {
  const now = Math.floor(Date.now() / 1000)
  await expect.poll(() => Math.floor(Date.now() / 1000), { timeout: 3000 }).toBeGreaterThan(now)
}

test('two authorisations of one user at once: the pair of the later one is kept, whichever arrives last', async () => {
  const { host, ofA, ofB } = await shared()
  const exchange = t.zoom.setFault({
    match: { grant_type: 'authorization_code' },
    effect: 'before',
    action: { type: 'hold' },
  })
  const earlier = reconnect(ofA, host)
  await exchange.hit()
  await nextSecond()
  await reconnect(ofB, host)
  const kept = await stored(host)
  exchange.release()
  await earlier
  expect(await stored(host)).toEqual(kept)
  expect(await Promise.all([mint(ofA), mint(ofB)])).toEqual([[200], [200]])
  await expireAccessToken(t, host)
  expect(await Promise.all([mint(ofA), mint(ofB)])).toEqual([[200], [200]])
  expect(await grantRow(t, host)).toMatchObject({ status: 'connected', isIntentOpen: false })
})

async function consentOf({ grantId }: VaultHost, issuedAtSeconds: number, requestedAtMs: number) {
  const [grant] = await rows<{ app: string; zoom_user: string }>(
    t,
    'SELECT zoom_app_id AS app, zoom_user_id AS zoom_user FROM grants WHERE id = $1',
    [grantId],
  )
  const claims = { uid: grant?.zoom_user, aid: 'a', iat: issuedAtSeconds }
  const accessToken = `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`
  const tokens = { accessToken, refreshToken: 'refresh', expiresInSeconds: 3600, scopes: [] }
  const of = { zoomAppId: String(grant?.app), zoomUserId: String(grant?.zoom_user), zoomAccountId: null }
  return await t.services.vault.admit({ ...of, tokens, requestedAtMs })
}

test('an authorisation wins over a refresh that was stored meanwhile, whatever the clocks of Zoom’s machines say', async () => {
  const host = await newVaultHost(t)
  const requestedAtMs = performance.now()
  await consentOf(host, 102, requestedAtMs)
  expect((await consentOf(host, 101, requestedAtMs)).isOutdated).toBe(true)
  await rows(
    t,
    `INSERT INTO refresh_attempts (id, grant_id, gen, lease_seq, recovering, started_at, ended_at, outcome)
     SELECT gen_random_uuid(), grant_id, gen - 1, 9, false, now(), now(), 'ok' FROM grant_tokens WHERE grant_id = $1`,
    [host.grantId],
  )
  expect((await consentOf(host, 101, requestedAtMs)).isOutdated).toBe(false)
})

test('a stored token that does not open keeps no new authorisation out', async () => {
  const host = await newVaultHost(t)
  const requestedAtMs = performance.now() - 60_000
  await rows(t, `UPDATE grant_tokens SET access_ct = '\\x00' WHERE grant_id = $1`, [host.grantId])
  expect((await consentOf(host, 1, requestedAtMs)).isOutdated).toBe(false)
})
