import { describe, expect, test } from 'vitest'
import type { FaultAction } from '../../simulator/fault-schema.ts'
import {
  endLease,
  expireAccessToken,
  grantRow,
  holdsLivingPair,
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

/** A host whose refresh ended in doubt: Zoom rotated or not, no answer came. */
async function inDoubt(effect: 'before' | 'never', action: FaultAction = { type: 'reset' }) {
  const host = await newVaultHost(t)
  await expireAccessToken(t, host)
  refreshFault(t, host, action, { effect })
  expect(await mint(host)).toEqual([502, 'zoom_unavailable'])
  return host
}

describe('after a refresh whose outcome nobody knows', () => {
  test('no replica tries before the lease has ended', async () => {
    const host = await inDoubt('before')
    const waiting = mintElsewhere(host)
    expect(await waiting).toEqual([504, 'zoom_timeout'])
    expect(refreshCalls(t, host)).toBe(1)
    expect(await grantRow(t, host)).toMatchObject({ status: 'connected', isIntentOpen: true, attempts: ['ambiguous'] })
  })

  test('the recovery that succeeds closes the intent: the earlier request had never reached Zoom', async () => {
    const host = await inDoubt('never')
    await endLease(t, host)
    expect(await mintElsewhere(host)).toEqual([200])
    const recovered = { status: 'connected', gen: 2, isIntentOpen: false, attempts: ['ambiguous', 'ok'] }
    expect(await grantRow(t, host)).toMatchObject(recovered)
    expect(await holdsLivingPair(t, host)).toBe(true)
  })

  test.each([false, true])(
    'the recovery that gets invalid_grant names it rotation_lost, family revocation %s',
    async (familyRevocation) => {
      t.zoom.setModes({ familyRevocation })
      const host = await inDoubt('before')
      await endLease(t, host)
      expect(await mintElsewhere(host)).toEqual([404, 'reconnect_required'])
      expect(await grantRow(t, host)).toMatchObject({
        status: 'reconnect_required',
        reason: 'rotation_lost',
        attempts: ['ambiguous', 'lost'],
      })
      const shown = await t.api('GET', `/v1/hosts/${host.hostId}`)
      expect(shown.json()).toMatchObject({ status: 'reconnect_required', status_reason: 'rotation_lost' })
      expect(await mint(host)).toEqual([404, 'reconnect_required'])
      expect(refreshCalls(t, host)).toBe(2)
    },
  )

  test.each<[number, string]>([
    [4741, 'rotation_lost'], // our own lost rotation causes these too
    [4740, 'rotation_lost'],
    [4735, 'user_removed'], // these name another cause
    [4711, 'scopes_changed'],
  ])('the recovery that gets %i ends in %s', async (code, reason) => {
    const host = await inDoubt('before')
    await endLease(t, host)
    refreshFault(t, host, { type: 'zoom_error', code })
    expect(await mint(host)).toEqual([404, 'reconnect_required'])
    expect(await grantRow(t, host)).toMatchObject({ status: 'reconnect_required', reason })
  })

  test.each<[string, FaultAction]>([
    ['a 429', { type: 'status', status: 429 }],
    ['4738', { type: 'zoom_error', code: 4738 }],
  ])('a recovery that spends nothing (%s) leaves the intent open', async (_, action) => {
    const host = await inDoubt('before')
    await endLease(t, host)
    refreshFault(t, host, action)
    await mint(host)
    const doubtful = { status: 'connected', gen: 1, isIntentOpen: true, attempts: ['ambiguous', 'retryable'] }
    expect(await grantRow(t, host)).toMatchObject(doubtful)
  })
})

describe('after a 5xx', () => {
  test('every replica waits for the 5 s, then one recovers', async () => {
    const host = await inDoubt('never', { type: 'status', status: 503 })
    expect(await mintElsewhere(host)).toEqual([502, 'zoom_unavailable'])
    expect(refreshCalls(t, host)).toBe(1)
    await endLease(t, host)
    expect(await Promise.all([mint(host), mintElsewhere(host)])).toEqual([[200], [200]])
    const recovered = { gen: 2, isIntentOpen: false, attempts: ['ambiguous', 'ok'] }
    expect(await grantRow(t, host)).toMatchObject(recovered)
  })

  test('behind which Zoom had rotated, the recovery says rotation_lost and not rejected_by_zoom', async () => {
    const host = await inDoubt('before', { type: 'status', status: 500 })
    await endLease(t, host)
    expect(await mint(host)).toEqual([404, 'reconnect_required'])
    expect(await grantRow(t, host)).toMatchObject({ reason: 'rotation_lost' })
  })
})

describe('after a 429', () => {
  test('another replica keeps to the same Retry-After, told in its own answer, and refreshes once it has passed', async () => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    refreshFault(t, host, { type: 'status', status: 429, headers: { 'retry-after': '30' } })
    expect(await mint(host)).toEqual([503, 'zoom_rate_limited'])
    const elsewhere = await other.bot(host.joinUrl)
    expect(told(elsewhere)).toEqual([503, 'zoom_rate_limited'])
    expect(Number(elsewhere.headers['retry-after'])).toBeGreaterThan(25)
    expect(refreshCalls(t, host)).toBe(1)
    await endLease(t, host)
    expect(await mintElsewhere(host)).toEqual([200])
    expect(await mint(host)).toEqual([200])
    expect(refreshCalls(t, host)).toBe(2)
  })
})
