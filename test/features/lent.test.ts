import { describe, expect, test } from 'vitest'
import { rows } from '../helpers/connect.ts'
import { newKey, newTenantWithKey, outcomeOf } from '../helpers/management.ts'
import {
  accessMintsOf,
  expireAccessToken,
  grantRow,
  leaveSeconds,
  newVaultHost,
  refreshCalls,
  refreshFault,
  statusAtZoom,
  type VaultHost,
  vaultApp,
} from '../helpers/vault.ts'

const DEFAULT_TENANT = '00000000-0000-7000-8000-000000000001'
const t = await vaultApp()

const lend = (host: Pick<VaultHost, 'hostId'>, body: unknown = {}, headers: Record<string, string> = {}) =>
  t.api('POST', `/v1/hosts/${host.hostId}/access-token`, { body, headers })
const lifeSecondsOf = (answer: { json(): { expires_at: string } }) =>
  (Date.parse(answer.json().expires_at) - Date.now()) / 1000

describe('a backend that asks for a host’s access token', () => {
  test('gets one that Zoom takes, its end and its scopes, and nobody may cache it', async () => {
    const host = await newVaultHost(t)
    const answer = await lend(host)
    expect([answer.statusCode, answer.headers['cache-control']]).toEqual([200, 'no-store'])
    const { access_token, expires_at, scopes } = answer.json()
    expect(await statusAtZoom(t, access_token)).toBe(200)
    const [row] = await rows<{ at: Date }>(t, 'SELECT access_expires_at AS at FROM grant_tokens WHERE grant_id = $1', [
      host.grantId,
    ])
    expect(Math.abs(Date.parse(expires_at) - Number(row?.at))).toBeLessThanOrEqual(1)
    expect(scopes).toContain('user:read:token')
    expect(refreshCalls(t, host)).toBe(0)
    expect(t.log.join('')).not.toContain(access_token)
  })

  test('finds it in the ledger as a mint of kind access, without meeting, pass or token', async () => {
    const host = await newVaultHost(t)
    const { access_token } = (await lend(host)).json()
    const mints = await accessMintsOf(t, host)
    expect(mints).toMatchObject([{ kind: 'access', outcome: 'minted', meeting_id: null, pass_id: null, reason: null }])
    expect(JSON.stringify(mints)).not.toContain(access_token)
  })

  test('gets the one there is with 121 s left, and a renewed one below 120 s', async () => {
    const host = await newVaultHost(t)
    await leaveSeconds(t, host, 150)
    expect(lifeSecondsOf(await lend(host))).toBeLessThan(151)
    expect(refreshCalls(t, host)).toBe(0)
    await leaveSeconds(t, host, 119)
    expect(lifeSecondsOf(await lend(host))).toBeGreaterThan(3500)
    expect(refreshCalls(t, host)).toBe(1)
    expect(await grantRow(t, host)).toMatchObject({ status: 'connected', gen: 2, isIntentOpen: false })
  })

  test('may ask for up to 3,000 s; many at once share one refresh', async () => {
    const host = await newVaultHost(t)
    await leaveSeconds(t, host, 2999)
    const answers = await Promise.all(Array.from({ length: 20 }, () => lend(host, { min_ttl_seconds: 3000 })))
    for (const answer of answers) expect(lifeSecondsOf(answer)).toBeGreaterThan(3000)
    expect(new Set(answers.map((answer) => answer.json().access_token)).size).toBe(1)
    expect(refreshCalls(t, host)).toBe(1)
    for (const min_ttl_seconds of [3001, 0, 1.5, '120'])
      expect(outcomeOf(await lend(host, { min_ttl_seconds }))).toEqual([400, 'invalid_request'])
    expect(outcomeOf(await lend(host, { ttl: 1 }))).toEqual([400, 'invalid_request'])
    expect((await t.api('POST', `/v1/hosts/${host.hostId}/access-token`)).statusCode).toBe(200)
  })

  test('gets what there is where Zoom issues shorter ones, and does not have it renewed at every call', async () => {
    const host = await newVaultHost(t)
    t.zoom.setModes({ accessTokenLifeSeconds: 1000 })
    const answers = [await lend(host, { min_ttl_seconds: 3000 })]
    expect(refreshCalls(t, host)).toBeLessThanOrEqual(1)
    await leaveSeconds(t, host, 400)
    for (let calls = 0; calls < 3; calls++) answers.push(await lend(host, { min_ttl_seconds: 3000 }))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200])
    expect(lifeSecondsOf(answers[3] as never)).toBeLessThan(1001)
    expect(refreshCalls(t, host)).toBeLessThanOrEqual(2)
    t.zoom.setModes({ accessTokenLifeSeconds: 3600 })
    await leaveSeconds(t, host, 0)
    await lend(host) // what was last issued is an hour again
  })

  test('gets a living token under the Idempotency-Key of an earlier call, and 409 with another body', async () => {
    const host = await newVaultHost(t)
    const keyed = { 'idempotency-key': host.externalUserId }
    const first = (await lend(host, {}, keyed)).json().access_token
    await expireAccessToken(t, host)
    const second = await lend(host, {}, keyed)
    expect(second.statusCode).toBe(200)
    expect(second.json().access_token).not.toBe(first)
    expect(await statusAtZoom(t, second.json().access_token)).toBe(200)
    expect(outcomeOf(await lend(host, { min_ttl_seconds: 200 }, keyed))).toEqual([409, 'conflict'])
    expect(await accessMintsOf(t, host)).toHaveLength(2)
  })
})

describe('a backend gets no access token', () => {
  test('without a key, without the scope tokens:read, or of another tenant’s host', async () => {
    const host = await newVaultHost(t)
    const path = `/v1/hosts/${host.hostId}/access-token`
    const ask = async (key: string) => outcomeOf(await t.api('POST', path, { key, body: {} }))
    const stranger = await newTenantWithKey(t, ['tokens:read'])
    expect(await ask('lk_nobody')).toEqual([401, 'unauthenticated'])
    expect(await ask(await newKey(t, DEFAULT_TENANT))).toEqual([403, 'forbidden'])
    expect(await ask(stranger.key)).toEqual([404, 'not_found'])
    expect(await accessMintsOf(t, host)).toEqual([])
    expect(
      (await t.api('POST', path, { key: await newKey(t, DEFAULT_TENANT, ['tokens:read']), body: {} })).statusCode,
    ).toBe(200)
  })

  test('of a host that must reconnect, is blocked, or finds its grant dead just now; the ledger says why', async () => {
    const [lost, blocked, dying] = [await newVaultHost(t), await newVaultHost(t), await newVaultHost(t)]
    await rows(
      t,
      "UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'superseded' WHERE grant_id = $1",
      [lost.grantId],
    )
    await rows(t, "UPDATE grants SET blocked_reason = 'admin_disabled' WHERE id = $1", [blocked.grantId])
    await expireAccessToken(t, dying)
    t.zoom.addUser({ email: dying.email, removed_app: true })
    expect(outcomeOf(await lend(lost))).toEqual([404, 'reconnect_required'])
    expect(outcomeOf(await lend(blocked))).toEqual([404, 'host_blocked'])
    expect(outcomeOf(await lend(dying))).toEqual([404, 'reconnect_required'])
    expect(await accessMintsOf(t, lost)).toMatchObject([{ outcome: 'reconnect_required', reason: 'superseded' }])
    expect(await accessMintsOf(t, blocked)).toMatchObject([{ outcome: 'host_blocked', reason: 'admin_disabled' }])
    expect(await accessMintsOf(t, dying)).toMatchObject([{ outcome: 'reconnect_required', reason: 'rejected_by_zoom' }])
    expect(refreshCalls(t, lost) + refreshCalls(t, blocked)).toBe(0)
  })

  test('while Zoom refuses to renew it; one that has life enough is still lent', async () => {
    const host = await newVaultHost(t)
    await leaveSeconds(t, host, 200)
    refreshFault(t, host, { type: 'status', status: 503 }, { times: -1 })
    expect(outcomeOf(await lend(host, { min_ttl_seconds: 300 }))).toEqual([502, 'zoom_unavailable'])
    expect((await lend(host)).statusCode).toBe(200)
  })
})
