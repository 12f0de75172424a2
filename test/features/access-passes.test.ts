import { describe, expect, test } from 'vitest'
import { rows } from '../helpers/connect.ts'
import { callerOf, newKey, outcomeOf } from '../helpers/management.ts'
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

describe('a pass of kind access', () => {
  const access = (host: VaultHost, more: object = {}) =>
    t.api('POST', '/v1/passes', { body: { kinds: ['access'], host: { host_id: host.hostId }, ...more } })
  const urlOf = async (host: VaultHost) => String((await access(host)).json().access_token_url)

  test('answers one URL, ready for Recall’s Create Zoom OAuth Credential, and is for no meeting', async () => {
    const host = await newVaultHost(t)
    const created = await access(host)
    expect(created.statusCode).toBe(201)
    const pass = created.json()
    const url = expect.stringMatching(/^http:\/\/localhost:4000\/zoom\/access-token\?pass=[A-Za-z0-9_-]{43}$/)
    expect(pass).toMatchObject({
      meeting_id: null,
      kinds: ['access'],
      access_token_url: url,
      host: { id: host.hostId, external_user_id: host.externalUserId, status: 'connected' },
      warnings: [{ code: 'public_url_not_https' }],
    })
    expect(pass.recall).toEqual({ access_token_callback_url: pass.access_token_url })
    expect(Math.abs(Date.parse(pass.expires_at) - Date.now() - 30 * 86_400_000)).toBeLessThan(60_000)
    const { access_token_url: _, recall: __, warnings: ___, ...shown } = pass
    expect((await t.api('GET', `/v1/passes/${pass.id}`)).json()).toEqual(shown)
    const longest = new Date(Date.now() + 399 * 86_400_000).toISOString()
    expect((await access(host, { expires_at: longest })).json().expires_at).toBe(longest)
  })

  test('may name a user who has not connected yet, and works once they have', async () => {
    const name = `later-${Date.now()}`
    const body = { kinds: ['access'], host: { external_user_id: name } }
    const pass = (await t.api('POST', '/v1/passes', { body })).json()
    expect(pass.warnings.map(({ code }: { code: string }) => code)).toContain('host_unknown')
    expect(outcomeOf(await t.bot(pass.access_token_url))).toEqual([404, 'host_not_connected'])
    const email = `${name}@example.com`
    t.zoom.addUser({ email })
    await t.connectHost(name, email)
    expect((await t.bot(pass.access_token_url)).statusCode).toBe(200)
  })

  test('takes no meeting, no other kind, nobody to act on behalf of and no join_at, then or later', async () => {
    const host = await newVaultHost(t)
    const wrong = [
      { meeting: host.meeting },
      { kinds: ['access', 'join'] },
      { host: undefined },
      { on_behalf_of: { host_id: host.hostId } },
      { join_at: new Date(Date.now() + 1000).toISOString() },
    ]
    for (const more of wrong) expect(outcomeOf(await access(host, more))).toEqual([400, 'invalid_request'])
    const { id } = (await access(host)).json()
    for (const change of [{ meeting: host.meeting }, { join_at: new Date(Date.now() + 1000).toISOString() }])
      expect(outcomeOf(await t.api('PATCH', `/v1/passes/${id}`, { body: change }))).toEqual([400, 'invalid_request'])
    const expires_at = new Date(Date.now() + 86_400_000).toISOString()
    expect((await t.api('PATCH', `/v1/passes/${id}`, { body: { expires_at } })).json().expires_at).toBe(expires_at)
    expect(outcomeOf(await t.api('POST', '/v1/passes', { body: {} }))).toEqual([400, 'invalid_request'])
  })

  test('is made by a key with passes:write and tokens:read, and by no other, whatever its Idempotency-Key', async () => {
    const host = await newVaultHost(t)
    const body = { kinds: ['access'], host: { host_id: host.hostId } }
    const headers = { 'idempotency-key': host.externalUserId }
    const keyOf = (scopes: string[]) => newKey(t, DEFAULT_TENANT, scopes)
    const both = await t.api('POST', '/v1/passes', { key: await keyOf(['passes:write', 'tokens:read']), body, headers })
    expect(both.statusCode).toBe(201)
    for (const scope of ['passes:write', 'tokens:read'])
      expect(outcomeOf(await t.api('POST', '/v1/passes', { key: await keyOf([scope]), body, headers }))).toEqual([
        403,
        'forbidden',
      ])
    const plain = callerOf(t, await keyOf(['passes:write']))
    expect((await plain('POST', '/v1/passes', { meeting: host.meeting })).statusCode).toBe(201)
  })

  test('gives a signed request the bare access token, and says so in the ledger', async () => {
    const host = await newVaultHost(t)
    const pass = (await access(host)).json()
    const answer = await t.bot(pass.access_token_url)
    expect([answer.statusCode, answer.headers['content-type'], answer.headers['cache-control']]).toEqual([
      200,
      'text/plain; charset=utf-8',
      'no-store',
    ])
    expect(await statusAtZoom(t, answer.body)).toBe(200)
    expect(await accessMintsOf(t, host)).toMatchObject([
      { kind: 'access', outcome: 'minted', meeting_id: null, pass_id: pass.id, host_id: host.hostId },
    ])
    expect(t.log.join('')).not.toContain(answer.body)
  })

  test('has it renewed where less than 120 s are left, once for many', async () => {
    const host = await newVaultHost(t)
    const url = await urlOf(host)
    await leaveSeconds(t, host, 119)
    const answers = await Promise.all(Array.from({ length: 10 }, () => t.bot(url)))
    expect(new Set(answers.map(({ statusCode, body }) => `${statusCode} ${body}`)).size).toBe(1)
    expect(answers[0]?.statusCode).toBe(200)
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('answers within the deadline although Zoom hangs, and the refresh is stored afterwards', async () => {
    const host = await newVaultHost(t)
    const url = await urlOf(host)
    await expireAccessToken(t, host)
    const fault = refreshFault(t, host, { type: 'hold' })
    const began = performance.now()
    expect(outcomeOf(await t.bot(url))).toEqual([504, 'zoom_timeout'])
    expect(performance.now() - began).toBeLessThan(5000)
    fault.release()
    await expect.poll(async () => (await grantRow(t, host)).gen).toBe(2)
    expect((await t.bot(url)).statusCode).toBe(200)
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('is good at its own URL only, and other passes are not good there', async () => {
    const host = await newVaultHost(t)
    const url = await urlOf(host)
    for (const kind of ['join', 'obf', 'zak'])
      expect(outcomeOf(await t.bot(url.replace('access-token', `${kind}-token`)))).toEqual([403, 'pass_mismatch'])
    expect(outcomeOf(await t.bot(host.joinUrl.replace('join-token', 'access-token')))).toEqual([403, 'pass_mismatch'])
    expect(outcomeOf(await t.bot(`${url}&meeting_id=${host.meeting}`))).toEqual([403, 'pass_mismatch'])
    expect((await t.bot(url)).statusCode).toBe(200)
  })

  test('gives nothing without a signature, to HEAD, once revoked, or past 5,000 in an hour', async () => {
    const host = await newVaultHost(t)
    const pass = (await access(host)).json()
    const { pathname, search } = new URL(pass.access_token_url)
    expect((await t.app.inject({ url: pathname + search })).statusCode).toBe(401)
    expect((await t.app.inject({ method: 'HEAD', url: pathname + search })).statusCode).toBe(405)
    await rows(t, 'UPDATE passes SET window_started_at = now(), window_mints = 5000 WHERE id = $1', [pass.id])
    expect(outcomeOf(await t.bot(pass.access_token_url))).toEqual([429, 'rate_limited'])
    await t.api('DELETE', `/v1/passes/${pass.id}`)
    expect(outcomeOf(await t.bot(pass.access_token_url))).toEqual([401, 'unauthenticated'])
  })

  test('tells of a host that must reconnect or is blocked', async () => {
    const host = await newVaultHost(t)
    const url = await urlOf(host)
    await rows(t, "UPDATE grants SET blocked_reason = 'admin_disabled' WHERE id = $1", [host.grantId])
    expect(outcomeOf(await t.bot(url))).toEqual([404, 'host_blocked'])
    await rows(t, 'UPDATE grants SET blocked_reason = NULL WHERE id = $1', [host.grantId])
    await rows(
      t,
      "UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'expired' WHERE grant_id = $1",
      [host.grantId],
    )
    expect(outcomeOf(await t.bot(url))).toEqual([404, 'reconnect_required'])
    const warned = (await access(host)).json().warnings.map(({ code }: { code: string }) => code)
    expect(warned).toContain('reconnect_required')
  })
})
