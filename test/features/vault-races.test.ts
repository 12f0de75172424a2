import { describe, expect, test } from 'vitest'
import { revocations, rows } from '../helpers/connect.ts'
import {
  endLease,
  expireAccessToken,
  grantRow,
  holdsLivingPair,
  liveRefreshToken,
  newVaultHost,
  refreshCalls,
  refreshFault,
  told,
  twoReplicas,
  type VaultHost,
} from '../helpers/vault.ts'

const { t, other } = await twoReplicas()

const mint = async (host: VaultHost) => told(await t.bot(host.joinUrl))
const mintElsewhere = async (host: VaultHost) => told(await other.bot(host.joinUrl))

/** A mint whose refresh hangs: Zoom has done its work, or does it only once it is let go on. */
async function hanging(host: VaultHost, effect: 'before' | 'after', bot = mint) {
  const refresh = refreshFault(t, host, { type: 'hold' }, { effect })
  const answer = bot(host)
  await refresh.hit()
  return { answer, letGo: () => refresh.release() }
}
async function expiredHost() {
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  return host
}
const reconnect = async ({ externalUserId, email }: VaultHost) =>
  expect((await t.follow(await t.connectLink({ external_user_id: externalUserId }), email)).statusCode).toBe(200)

describe('a replica that has lost its lease', () => {
  test('still stores the pair it got, also where the other one has read a verdict meanwhile', async () => {
    const host = await expiredHost()
    const slow = await hanging(host, 'before')
    await endLease(t, host)
    expect(await mintElsewhere(host)).toEqual([404, 'reconnect_required'])
    expect(await grantRow(t, host)).toMatchObject({ status: 'reconnect_required', reason: 'rotation_lost' })
    slow.letGo()
    expect(await slow.answer).toEqual([200])
    const healed = { status: 'connected', reason: null, gen: 2, isIntentOpen: false, attempts: ['ok', 'lost'] }
    expect(await grantRow(t, host)).toMatchObject(healed)
    expect(await mintElsewhere(host)).toEqual([200])
    expect(await holdsLivingPair(t, host)).toBe(true)
  })

  test('condemns nothing by an invalid_grant that its successor’s rotation caused: it uses what is stored', async () => {
    const host = await expiredHost()
    const slow = await hanging(host, 'after')
    await endLease(t, host)
    expect(await mintElsewhere(host)).toEqual([200])
    slow.letGo()
    expect(await slow.answer).toEqual([200])
    const moved = { status: 'connected', gen: 2, isIntentOpen: false, attempts: ['sibling_won', 'ok'] }
    expect(await grantRow(t, host)).toMatchObject(moved)
    expect(refreshCalls(t, host)).toBe(2)
  })

  test('condemns nothing on the same generation either: the verdict belongs to who holds the lease', async () => {
    const host = await expiredHost()
    const slow = await hanging(host, 'after')
    await endLease(t, host)
    const successor = await hanging(host, 'before', mintElsewhere)
    slow.letGo() // Zoom has rotated for the successor: this one hears invalid_grant
    await expect.poll(async () => (await grantRow(t, host)).attempts).toEqual(['sibling_won', 'open'])
    expect(await grantRow(t, host)).toMatchObject({ status: 'connected', gen: 1, isIntentOpen: true })
    successor.letGo()
    expect(await Promise.all([slow.answer, successor.answer])).toEqual([[200], [200]])
    expect(await grantRow(t, host)).toMatchObject({ status: 'connected', gen: 2, attempts: ['sibling_won', 'ok'] })
  })

  test.each<[string, number]>([
    ['a bare invalid_grant', 0],
    ['4741', 4741],
  ])(
    'and whose late request makes Zoom end the whole grant: %s reads rotation_lost, not Zoom’s doing',
    async (_, code) => {
      t.zoom.setModes({ familyRevocation: true })
      const host = await expiredHost()
      const slow = await hanging(host, 'after')
      await endLease(t, host)
      expect(await mintElsewhere(host)).toEqual([200])
      // Zoom knows no user by a token of a family that it has ended: the fault names none
      if (code) t.zoom.setFault({ match: { grant_type: 'refresh_token' }, action: { type: 'zoom_error', code } })
      slow.letGo() // the token was spent by the successor: presented again, it ends the family, access token and all
      await slow.answer
      expect(await mint(host)).toEqual([404, 'reconnect_required'])
      expect(await grantRow(t, host)).toMatchObject({ status: 'reconnect_required', reason: 'rotation_lost' })
      await reconnect(host)
      await expireAccessToken(t, host)
      expect(await mint(host)).toEqual([200])
      // the doubled attempt belongs to the past: what Zoom ends from now on is Zoom's doing
      t.zoom.revokeGrant(host.email)
      await expireAccessToken(t, host)
      expect(await mint(host)).toEqual([404, 'reconnect_required'])
      expect(await grantRow(t, host)).toMatchObject({ reason: 'rejected_by_zoom' })
    },
  )

  test('gives no lease back that is not its own', async () => {
    const host = await expiredHost()
    const slow = await hanging(host, 'after')
    await endLease(t, host)
    const successor = await hanging(host, 'after', mintElsewhere)
    t.zoom.addUser({ email: host.email, admin_disabled: true })
    slow.letGo()
    expect(await slow.answer).toEqual([404, 'host_blocked'])
    expect((await grantRow(t, host)).leaseSeconds).toBeGreaterThan(40)
    t.zoom.addUser({ email: host.email, admin_disabled: false })
    successor.letGo()
    expect(await successor.answer).toEqual([200])
    expect((await t.api('GET', `/v1/hosts/${host.hostId}`)).json()).toMatchObject({ status: 'connected' })
  })
})

describe.each(['before', 'after'] as const)(
  'a reconnect while Zoom, which works %s it, hangs with a refresh',
  (effect) => {
    test('serves bots from the new pair at once, in both replicas, and nothing old is stored or condemned', async () => {
      const host = await expiredHost()
      const slow = await hanging(host, effect)
      await reconnect(host)
      const started = performance.now()
      expect(await Promise.all([mint(host), mintElsewhere(host)])).toEqual([[200], [200]])
      expect(performance.now() - started).toBeLessThan(3000)
      slow.letGo()
      expect(await slow.answer).toEqual([200])
      const row = await grantRow(t, host)
      expect(row).toMatchObject({ status: 'connected', gen: 2, isIntentOpen: false, attempts: ['sibling_won'] })
      expect(await holdsLivingPair(t, host)).toBe(true)
    })
  },
)

describe('a disconnect while a refresh is under way', () => {
  const remove = ({ hostId }: VaultHost, query = '') => t.api('DELETE', `/v1/hosts/${hostId}${query}`)
  const GONE = { status: 'disconnected', isIntentOpen: false, leaseSeconds: 0 }

  test('waits for it, revokes with the new token, and leaves neither tokens nor a living grant', async () => {
    const host = await expiredHost()
    const slow = await hanging(host, 'before')
    const removed = remove(host)
    slow.letGo()
    expect((await removed).statusCode).toBe(204)
    await slow.answer
    expect(liveRefreshToken(t, host)).toBeNull()
    expect(await grantRow(t, host)).toMatchObject(GONE)
    expect(await ciphertexts(host)).toEqual({ refresh_ct: null, access_ct: null })
  })

  /** Renewed ahead of need, so that the disconnect waits for nobody. */
  async function renewedInBackground() {
    const host = await newVaultHost(t)
    await rows(t, `UPDATE grant_tokens SET access_expires_at = now() + interval '200 s' WHERE grant_id = $1`, [
      host.grantId,
    ])
    const slow = await hanging(host, 'before', mintElsewhere)
    return { host, slow }
  }

  test('whose pair comes after the tokens were erased: it is revoked, not stored', async () => {
    const { host, slow } = await renewedInBackground()
    expect((await remove(host)).statusCode).toBe(204)
    expect(liveRefreshToken(t, host)).not.toBeNull() // the former access token was dead already
    slow.letGo()
    await expect.poll(() => liveRefreshToken(t, host)).toBeNull()
    expect(await grantRow(t, host)).toMatchObject(GONE)
    expect(await ciphertexts(host)).toEqual({ refresh_ct: null, access_ct: null })
  })

  test('and with revoke=false it is not revoked then either', async () => {
    const { host, slow } = await renewedInBackground()
    const before = revocations(t).length
    expect((await remove(host, '?revoke=false')).statusCode).toBe(204)
    slow.letGo()
    await expect.poll(async () => (await grantRow(t, host)).attempts).toEqual(['sibling_won'])
    await other.services.vault.withAccessToken(host.grantId, async () => {}).catch(() => {})
    expect(revocations(t).length).toBe(before)
    expect(liveRefreshToken(t, host)).not.toBeNull()
    expect(await ciphertexts(host)).toEqual({ refresh_ct: null, access_ct: null })
  })

  async function ciphertexts({ grantId }: VaultHost) {
    const [row] = await rows(t, 'SELECT refresh_ct, access_ct FROM grant_tokens WHERE grant_id = $1', [grantId])
    return row
  }
})
