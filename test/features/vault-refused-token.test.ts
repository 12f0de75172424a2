import { describe, expect, test, vi } from 'vitest'
import { rows } from '../helpers/connect.ts'
import {
  endLease,
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

const mint = async (host: VaultHost) => told(await t.bot(host.joinUrl))
const REFUSED = { type: 'body', status: 401, body: { code: 124, message: 'Invalid access token.' } } as const

describe('an access token that Zoom refuses (401, 124) before its time', () => {
  test('is renewed once and the mint goes through; so it is the next time too', async () => {
    const host = await newVaultHost(t)
    for (const refreshes of [1, 2, 3]) {
      t.zoom.expireAccessTokens(host.email)
      expect([await mint(host), await mint(host)]).toEqual([[200], [200]])
      expect(refreshCalls(t, host)).toBe(refreshes)
    }
  })

  test('is renewed once for all who met it at the same time, in two replicas', async () => {
    const host = await newVaultHost(t)
    await Promise.all([mint(host), other.bot(host.joinUrl)])
    t.zoom.expireAccessTokens(host.email)
    const answers = await Promise.all([
      ...Array.from({ length: 25 }, () => t.bot(host.joinUrl)),
      ...Array.from({ length: 25 }, () => other.bot(host.joinUrl)),
    ])
    expect(answers.map(told).filter(([status]) => status !== 200)).toEqual([])
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('is not renewed where another replica has done it: the stored one is used', async () => {
    const host = await newVaultHost(t)
    expect(await mint(host)).toEqual([200])
    const call = mintFault(t, host, { type: 'hold' }, { effect: 'after' })
    const answer = mint(host)
    await call.hit()
    await expireAccessToken(t, host)
    expect(told(await other.bot(host.joinUrl))).toEqual([200])
    call.release() // only now Zoom looks at the former token
    expect(await answer).toEqual([200])
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('is renewed only once where Zoom refuses the new one as well: 502, and no refresh for each of many calls', async () => {
    const host = await newVaultHost(t)
    mintFault(t, host, REFUSED, { times: -1 })
    expect(await mint(host)).toEqual([502, 'zoom_unavailable'])
    const answers = await Promise.all(Array.from({ length: 60 }, () => mint(host)))
    for (const answer of answers) expect(answer).toEqual([502, 'zoom_unavailable'])
    expect(refreshCalls(t, host)).toBe(1)
    expect((await grantRow(t, host)).status).toBe('connected')
  })

  test('is renewed only once also where many calls find it out at the same time', async () => {
    const host = await newVaultHost(t)
    mintFault(t, host, REFUSED, { times: -1 })
    const answers = await Promise.all(Array.from({ length: 60 }, () => mint(host)))
    for (const answer of answers) expect(answer).toEqual([502, 'zoom_unavailable'])
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('serves the host’s other meetings where Zoom says 124 of somebody else’s meeting only', async () => {
    t.zoom.setModes({ nonHostCode: 124 })
    const [host, owner] = [await newVaultHost(t), await newVaultHost(t)]
    const mapping = { host: { external_user_id: host.externalUserId } }
    const foreign = await t.createPass({ meeting: owner.meeting, ...mapping })
    for (let index = 0; index < 5; index++) {
      expect(told(await t.bot(foreign.join_token_url))).toEqual([502, 'zoom_unavailable'])
      expect(await mint(host)).toEqual([200])
    }
    expect(refreshCalls(t, host)).toBe(1)
    expect((await grantRow(t, host)).status).toBe('connected')
  })
})

describe.each([true, false])('a refresh that kills the former access token at once: %s', (refreshKillsAccessToken) => {
  test('the mints of both replicas before, while and after it all get a token, for one refresh', async () => {
    t.zoom.setModes({ refreshKillsAccessToken })
    const host = await newVaultHost(t)
    await Promise.all([mint(host), other.bot(host.joinUrl)])
    await rows(
      t,
      `UPDATE grant_tokens SET access_expires_at = clock_timestamp() + interval '200 s' WHERE grant_id = $1`,
      [host.grantId],
    )
    // Zoom has rotated; its answer is on the way
    const refresh = refreshFault(t, host, { type: 'hold' })
    const first = mint(host)
    await refresh.hit()
    const meanwhile = [mint(host), mint(host), other.bot(host.joinUrl).then(told)]
    refresh.release()
    expect(await Promise.all([first, ...meanwhile])).toEqual([[200], [200], [200], [200]])
    expect([await mint(host), told(await other.bot(host.joinUrl))]).toEqual([[200], [200]])
    expect(refreshCalls(t, host)).toBe(1)
  })
})

test('a refused token whose renewal is refused too ends in reconnect_required, at once and for both replicas', async () => {
  const host = await newVaultHost(t)
  expect(told(await other.bot(host.joinUrl))).toEqual([200])
  t.zoom.revokeGrant(host.email)
  expect(await mint(host)).toEqual([404, 'reconnect_required'])
  expect(told(await other.bot(host.joinUrl))).toEqual([404, 'reconnect_required'])
  expect(refreshCalls(t, host)).toBe(1)
  expect(await grantRow(t, host)).toMatchObject({ status: 'reconnect_required', reason: 'rejected_by_zoom' })
})

test('a refused token is not sent again while its renewal waits for somebody else’s lease', async () => {
  const host = await newVaultHost(t)
  await mint(host)
  await rows(
    t,
    `UPDATE grant_tokens SET lease_until = clock_timestamp() + interval '45 s', lease_owner = 'another'
      WHERE grant_id = $1`,
    [host.grantId],
  )
  t.zoom.expireAccessTokens(host.email)
  const refusals = () => t.zoom.log({ path: '/v2/', status: 401, user_id: host.email }).length
  const answer = mint(host)
  await vi.waitFor(async () => {
    const [row] = await rows(t, 'SELECT access_expires_at < now() AS stale FROM grant_tokens WHERE grant_id = $1', [
      host.grantId,
    ])
    expect(row).toEqual({ stale: true })
  })
  await endLease(t, host)
  expect(await answer).toEqual([200])
  expect([refreshCalls(t, host), refusals()]).toEqual([1, 1])
})
