import { describe, expect, test, vi } from 'vitest'
import { DEFAULT_MODES } from '../../simulator/seed.ts'
import { rows } from '../helpers/connect.ts'
import {
  expireAccessToken,
  grantRow,
  mintFault,
  newVaultHost,
  refreshCalls,
  refreshFault,
  told,
  twoReplicas,
  type VaultHost,
} from '../helpers/vault.ts'

const { t, other } = await twoReplicas()

/** Leaves the access token this much life by the database's clock. */
const leave = (seconds: number, { grantId }: VaultHost) =>
  rows(t, `UPDATE grant_tokens SET access_expires_at = clock_timestamp() + $2 * interval '1 s' WHERE grant_id = $1`, [
    grantId,
    seconds,
  ])
const mint = async (host: VaultHost) => told(await t.bot(host.joinUrl))
async function mints(host: VaultHost, times: number) {
  for (let index = 0; index < times; index++) expect(await mint(host)).toEqual([200])
}

describe('while the access token lives', () => {
  test('any number of mints costs no refresh, and Zoom is asked once for each', async () => {
    const host = await newVaultHost(t)
    const before = t.zoom.log({ user_id: host.email, path: '/v2/meetings' }).length
    await mints(host, 5)
    const answers = await Promise.all(Array.from({ length: 60 }, () => mint(host)))
    expect(answers.every(([status]) => status === 200)).toBe(true)
    expect(refreshCalls(t, host)).toBe(0)
    expect(t.zoom.log({ user_id: host.email, path: '/v2/meetings' }).length - before).toBe(65)
  })

  test('another replica serves from the same row without a refresh', async () => {
    const host = await newVaultHost(t)
    expect(told(await other.bot(host.joinUrl))).toEqual([200])
    expect(refreshCalls(t, host)).toBe(0)
  })

  test('a rotation by one replica is used by the other at its next mint, not refused and not repeated', async () => {
    const host = await newVaultHost(t)
    await mints(host, 1)
    expect(told(await other.bot(host.joinUrl))).toEqual([200])
    await expireAccessToken(t, host)
    expect(told(await other.bot(host.joinUrl))).toEqual([200])
    const refusals = () => t.zoom.log({ path: '/v2/', status: 401 }).length
    const before = refusals()
    await mints(host, 3)
    expect([refreshCalls(t, host), refusals() - before]).toEqual([1, 0])
  })
})

describe('with less than 60 s of life', () => {
  test('the access token is not used: one refresh, and the new one serves every waiter', async () => {
    const host = await newVaultHost(t)
    await mints(host, 1)
    await leave(59, host)
    const answers = await Promise.all(Array.from({ length: 40 }, () => mint(host)))
    expect(answers.every(([status]) => status === 200)).toBe(true)
    expect(refreshCalls(t, host)).toBe(1)
    expect(await grantRow(t, host)).toMatchObject({ gen: 2, isIntentOpen: false, leaseSeconds: 0, attempts: ['ok'] })
  })

  test('two replicas that find it at the same moment refresh it once', async () => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, () => t.bot(host.joinUrl)),
      ...Array.from({ length: 20 }, () => other.bot(host.joinUrl)),
    ])
    expect(answers.map(told).every(([status]) => status === 200)).toBe(true)
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('the new pair is in the database before its access token is used for anything', async () => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    const call = mintFault(t, host, { type: 'hold' })
    const answer = mint(host)
    await call.hit()
    expect(await grantRow(t, host)).toMatchObject({ gen: 2, isIntentOpen: false, attempts: ['ok'] })
    call.release()
    expect(await answer).toEqual([200])
  })

  test('intent and lease are in the database before a byte is sent, and no transaction is open while Zoom hangs', async () => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    const refresh = refreshFault(t, host, { type: 'hold' })
    const answer = mint(host)
    await refresh.hit()
    expect(await grantRow(t, host)).toMatchObject({ gen: 1, isIntentOpen: true, leaseSeconds: 45, attempts: ['open'] })
    const idle = await rows(
      t,
      `SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'
                                   AND datname = current_database()`,
    )
    expect(idle).toEqual([])
    refresh.release()
    expect(await answer).toEqual([200])
  })
})

describe('below REFRESH_MARGIN_SECONDS', () => {
  test('the token is renewed in the background while the old one is still lent', async () => {
    t.zoom.setModes({ refreshKillsAccessToken: false })
    const host = await newVaultHost(t)
    await leave(299, host)
    const refresh = refreshFault(t, host, { type: 'hold' })
    await mints(host, 1)
    await refresh.hit()
    await mints(host, 5)
    expect(told(await other.bot(host.joinUrl))).toEqual([200])
    refresh.release()
    await vi.waitFor(async () => expect(await grantRow(t, host)).toMatchObject({ gen: 2, leaseSeconds: 0 }))
    await mints(host, 5)
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('nobody hears of a background renewal that fails', async () => {
    const host = await newVaultHost(t)
    await leave(200, host)
    const refresh = refreshFault(t, host, { type: 'status', status: 500 }, { times: -1 })
    await mints(host, 3)
    await refresh.hit()
    await mints(host, 3)
    expect(refresh.hits()).toBe(1)
  })

  test('a token that was born below it is renewed for a longer one, ahead of need', async () => {
    t.zoom.setModes({ accessTokenLifeSeconds: 200 })
    const host = await newVaultHost(t)
    t.zoom.setModes(DEFAULT_MODES)
    await mints(host, 2)
    await vi.waitFor(async () => expect(await grantRow(t, host)).toMatchObject({ gen: 2 }))
  })
})

describe('an access token that Zoom makes short-lived', () => {
  test.each([30, 60, 90, 120])('of %i s is not renewed for every mint, in either of two replicas', async (life) => {
    t.zoom.setModes({ accessTokenLifeSeconds: life })
    const host = await newVaultHost(t)
    for (let index = 0; index < 10; index++) {
      await mints(host, 1)
      expect(told(await other.bot(host.joinUrl))).toEqual([200])
    }
    await vi.waitFor(async () => expect((await grantRow(t, host)).isIntentOpen).toBe(false))
    // each replica may renew once to learn how long Zoom's tokens live
    expect(refreshCalls(t, host)).toBeLessThanOrEqual(2)
  })
})
