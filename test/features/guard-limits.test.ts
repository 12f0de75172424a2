import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { signRecallRequest } from '../../simulator/recall.ts'
import { OPERATOR_KEY, RECALL_SECRET, startTestApp, type TestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { ledgerOf, newRecallSecret, unsigned } from '../helpers/guard.ts'
import { unique } from '../helpers/management.ts'
import { newVaultHost, told, type VaultHost } from '../helpers/vault.ts'

let t: TestApp
let nowMs = Date.now()
let host: VaultHost

beforeAll(async () => {
  t = await startTestApp({ now: () => nowMs })
  host = await newVaultHost(t)
})
afterAll(() => t.stop())

const newPass = () => t.createPass({ meeting: host.meeting, host: { external_user_id: host.externalUserId } })

/** A request from an address, signed unless it is to fail. */
async function from(remoteAddress: string, url: string, { secret = RECALL_SECRET } = {}) {
  const { pathname, search } = new URL(url, 'http://localhost')
  const timestamp = Math.floor(nowMs / 1000)
  const headers = signRecallRequest({ secrets: [secret], id: `msg_${unique()}`, timestamp })
  return await t.app.inject({ url: pathname + search, remoteAddress, headers })
}

describe('one pass', () => {
  const mintsSoFar = (passId: string, mints: number, sinceMinutes: number) =>
    rows(t, `UPDATE passes SET window_mints = $2, window_started_at = now() - $3 * interval '1 minute' WHERE id = $1`, [
      passId,
      mints,
      sinceMinutes,
    ])

  test('mints 5,000 tokens in an hour; then it is told to wait, and no other pass is', async () => {
    const [pass, neighbour] = [await newPass(), await newPass()]
    await mintsSoFar(pass.id, 4999, 59)
    expect(told(await t.bot(pass.join_token_url))).toEqual([200])
    const before = t.zoom.minted.length
    const refused = await t.bot(pass.obf_token_url)
    expect(told(refused)).toEqual([429, 'rate_limited'])
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect(t.zoom.minted.length).toBe(before)
    expect((await ledgerOf(t, pass.id)).at(-1)).toMatchObject({ kind: 'obf', outcome: 'rate_limited' })
    expect(told(await t.bot(neighbour.join_token_url))).toEqual([200])
  })

  test('starts afresh when its hour is over', async () => {
    const pass = await newPass()
    await mintsSoFar(pass.id, 9999, 61)
    expect(told(await t.bot(pass.join_token_url))).toEqual([200])
  })

  test('lists 100 refused authentications with their reasons, and goes on refusing and minting after them', async () => {
    const pass = await newPass()
    for (let index = 0; index < 105; index++) {
      nowMs += 1000 / 50 // below the limit per address
      expect(told(await unsigned(t.app, pass.join_token_url))).toEqual([401, 'unauthenticated'])
    }
    const refused = { kind: 'join', outcome: 'unauthenticated', reason: 'signature_missing' }
    expect(await ledgerOf(t, pass.id)).toEqual(Array(100).fill(refused))
    expect(told(await t.bot(pass.join_token_url))).toEqual([200])
    expect(await ledgerOf(t, pass.id)).toHaveLength(101)
  })

  test('has every reason of a refusal in its mints', async () => {
    nowMs += 1000
    const pass = await newPass()
    const stale = { 'webhook-timestamp': String(Math.floor(nowMs / 1000) - 301) }
    await unsigned(t.app, pass.join_token_url)
    await t.bot(pass.join_token_url, { secrets: [newRecallSecret()] })
    await t.bot(pass.join_token_url, { headers: stale }) // signed for another second
    await from('127.0.0.1', pass.join_token_url, {})
    const late = signRecallRequest({
      secrets: [RECALL_SECRET],
      id: 'msg_late',
      timestamp: Math.floor(nowMs / 1000) - 301,
    })
    await unsigned(t.app, pass.join_token_url, late)
    await rows(t, `UPDATE passes SET expires_at = now() - interval '1 s' WHERE id = $1`, [pass.id])
    await t.bot(pass.join_token_url)
    await t.api('DELETE', `/v1/passes/${pass.id}`)
    await t.bot(pass.join_token_url)
    expect((await ledgerOf(t, pass.id)).map(({ reason }) => reason)).toEqual([
      'signature_missing',
      'signature_mismatch',
      'signature_mismatch',
      null,
      'timestamp_out_of_range',
      'pass_expired',
      'pass_revoked',
    ])
  })
})

describe('more than 100 failed authentications a second from one address', () => {
  const ADDRESS = '192.0.2.1'
  const fail = (url: string) => from(ADDRESS, url, { secret: newRecallSecret() })
  const withKey = (key: string) =>
    t.app.inject({ url: '/v1/hosts', remoteAddress: ADDRESS, headers: { authorization: `Bearer ${key}` } })

  test('are 429 with Retry-After on every route, while authentic requests of that address are served', async () => {
    nowMs += 2000
    for (let index = 0; index < 100; index++) {
      const answer = index % 2 ? await fail(host.joinUrl) : await fail('/zoom/join-token?pass=unknown')
      expect(told(answer)).toEqual([401, 'unauthenticated'])
    }
    const limited = [await fail(host.joinUrl), await fail('/zoom/obf-token'), await withKey('lk_wrong')]
    for (const answer of limited) {
      expect(told(answer)).toEqual([429, 'rate_limited'])
      expect(answer.headers['retry-after']).toBe('1')
    }
    expect(told(await from(ADDRESS, host.joinUrl))).toEqual([200])
    expect((await withKey(OPERATOR_KEY)).statusCode).toBe(200)
    expect(told(await from('192.0.2.2', host.joinUrl, { secret: newRecallSecret() }))).toEqual([401, 'unauthenticated'])
  })

  test('are forgotten a second later', async () => {
    nowMs += 1000
    expect(told(await fail(host.joinUrl))).toEqual([401, 'unauthenticated'])
  })
})

test('HEAD is 405 with a signed request and a valid pass, mints nothing, opens no row and binds no id', async () => {
  const pass = await newPass()
  const before = t.zoom.minted.length
  const { pathname, search } = new URL(pass.join_token_url)
  const headers = signRecallRequest({ secrets: [RECALL_SECRET], id: 'msg_head', timestamp: Math.floor(nowMs / 1000) })
  for (const url of [pathname + search, `${pathname}/${search}`]) {
    const answer = await t.app.inject({ method: 'HEAD', url, headers })
    expect([answer.statusCode, answer.body]).toEqual([405, ''])
  }
  expect(t.zoom.minted.length).toBe(before)
  expect(await ledgerOf(t, pass.id)).toEqual([])
  expect(await rows(t, `SELECT 1 FROM seen_webhook_ids WHERE webhook_id = 'msg_head'`)).toEqual([])
})
