import { describe, expect, test } from 'vitest'
import { jobQueues } from '../../src/jobs/queues.ts'
import { rows } from '../helpers/connect.ts'
import {
  expireAccessToken,
  grantRow,
  newVaultHost,
  refreshCalls,
  refreshFault,
  told,
  twoReplicas,
  type VaultHost,
} from '../helpers/vault.ts'

const { t, other } = await twoReplicas()
const { keepAlive } = t.services
const DAY_HOURS = 24
const WEEK_HOURS = 7 * DAY_HOURS

/** As if nobody had used the grant for so long. */
async function idle({ grantId }: VaultHost, hours: number) {
  const past = `now() - $2 * interval '1 hour'`
  await rows(t, `UPDATE grant_tokens SET refreshed_at = ${past} WHERE grant_id = $1`, [grantId, hours])
  await rows(t, `UPDATE refresh_attempts SET started_at = ${past} WHERE grant_id = $1`, [grantId, hours])
}
async function idleHost(hours: number): Promise<VaultHost> {
  const host = await newVaultHost(t)
  await idle(host, hours)
  return host
}
const isDue = async ({ grantId }: VaultHost) => (await keepAlive.dueAcrossTenants()).includes(grantId)
const blockedBy = async (host: VaultHost, reason: string | null) =>
  await rows(t, 'UPDATE grants SET blocked_reason = $2 WHERE id = $1', [host.grantId, reason])
const blockOf = async ({ grantId }: VaultHost) =>
  (await rows(t, 'SELECT blocked_reason AS reason FROM grants WHERE id = $1', [grantId]))[0]?.reason

describe('an idle grant', () => {
  test('is refreshed once its time has come, though its access token still lives', async () => {
    const host = await idleHost(WEEK_HOURS)
    const before = refreshCalls(t, host)
    expect(await isDue(host)).toBe(true)
    await keepAlive.keepAlive(host.grantId)
    expect(refreshCalls(t, host)).toBe(before + 1)
    expect(await isDue(host)).toBe(false)
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
  })

  test('is left alone before the last fifth of its interval: every needless refresh is a risk', async () => {
    const host = await idleHost(WEEK_HOURS * 0.79)
    expect(await isDue(host)).toBe(false)
    const before = refreshCalls(t, host)
    await keepAlive.keepAlive(host.grantId)
    expect(refreshCalls(t, host)).toBe(before)
  })

  test('is refreshed once where two replicas have it in hand', async () => {
    const host = await idleHost(WEEK_HOURS)
    const before = refreshCalls(t, host)
    await Promise.all([t, other].map(({ services }) => services.keepAlive.keepAlive(host.grantId)))
    expect(refreshCalls(t, host)).toBe(before + 1)
  })

  test('whose refresh came to nothing is tried again after an hour, not at once', async () => {
    const host = await idleHost(WEEK_HOURS)
    refreshFault(t, host, { type: 'status', status: 500 })
    await keepAlive.keepAlive(host.grantId)
    expect(await isDue(host)).toBe(false)
    await rows(t, `UPDATE refresh_attempts SET started_at = now() - interval '61 min' WHERE grant_id = $1`, [
      host.grantId,
    ])
    expect(await isDue(host)).toBe(true)
  })

  test('that nobody links is none of the keep-alive’s business', async () => {
    const host = await idleHost(WEEK_HOURS)
    await rows(t, 'DELETE FROM hosts WHERE id = $1', [host.hostId])
    expect(await isDue(host)).toBe(false)
  })
})

test('grants that were stored in one hour come due over the last fifth of the interval, not in one hour', async () => {
  const hosts = await Promise.all(Array.from({ length: 24 }, () => newVaultHost(t)))
  const dueAt = async (share: number) => {
    for (const host of hosts) await idle(host, WEEK_HOURS * share)
    const due = await keepAlive.dueAcrossTenants()
    return hosts.filter(({ grantId }) => due.includes(grantId)).length
  }
  expect(await dueAt(0.8)).toBeLessThanOrEqual(2)
  const half = await dueAt(0.9)
  expect(half).toBeGreaterThan(4)
  expect(half).toBeLessThan(20)
  expect(await dueAt(1)).toBe(24)
})

describe('a blocked user’s grant', () => {
  test('is tried once a day, and a success ends what the admin had disabled', async () => {
    const host = await idleHost(2)
    await blockedBy(host, 'admin_disabled')
    expect(await isDue(host)).toBe(false)
    await idle(host, DAY_HOURS + 1)
    expect(await isDue(host)).toBe(true)
    expect(told(await t.bot(host.joinUrl))).toEqual([404, 'host_blocked'])
    const before = refreshCalls(t, host)
    await keepAlive.keepAlive(host.grantId)
    expect(refreshCalls(t, host)).toBe(before + 1)
    expect(await blockOf(host)).toBeNull()
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
  })

  test('stays blocked where Zoom still refuses, and waits for the next day', async () => {
    const host = await idleHost(DAY_HOURS + 1)
    await blockedBy(host, 'admin_disabled')
    refreshFault(t, host, { type: 'zoom_error', code: 4738 })
    await keepAlive.keepAlive(host.grantId)
    expect(await blockOf(host)).toBe('admin_disabled')
    expect(await isDue(host)).toBe(false)
    expect(await grantRow(t, host)).toMatchObject({ status: 'connected', isIntentOpen: false })
  })

  test('of a deactivated user is refreshed too, and stays blocked until Zoom says otherwise', async () => {
    const host = await idleHost(DAY_HOURS + 1)
    await blockedBy(host, 'user_deactivated')
    await keepAlive.keepAlive(host.grantId)
    expect(await blockOf(host)).toBe('user_deactivated')
  })
})

describe('deaths younger than the interval', () => {
  const alarms = () => t.log.filter((line) => line.includes('younger than the keep-alive interval')).length
  async function die(ageHours: number) {
    const host = await idleHost(ageHours)
    t.zoom.revokeGrant(host.email)
    await expireAccessToken(t, host)
    expect(told(await t.bot(host.joinUrl))).toEqual([404, 'reconnect_required'])
  }

  test('of three grants of one app are an alarm, once; of two, or of old ones, they are not', async () => {
    await die(15)
    await die(15)
    await die(WEEK_HOURS + 1)
    await keepAlive.findEarlyDeathsAcrossTenants()
    expect(alarms()).toBe(0)
    await die(20)
    await keepAlive.findEarlyDeathsAcrossTenants()
    await keepAlive.findEarlyDeathsAcrossTenants()
    expect(alarms()).toBe(1)
  })
})

test('the queue finds idle grants by the clock and refreshes each once, whatever the number of replicas', async () => {
  const hosts = [await idleHost(WEEK_HOURS), await idleHost(WEEK_HOURS)]
  const before = hosts.map((host) => refreshCalls(t, host))
  for (const { services } of [t, other]) await services.jobQueue.ensureStarted(jobQueues(services))
  // the minute has come, for both replicas
  for (const { services } of [t, other]) await services.jobQueue.insert('grant-keep-alive-scan', [{}])
  for (const { services } of [t, other]) services.jobQueue.wake('grant-keep-alive-scan')
  await expect
    .poll(() => hosts.map((host) => refreshCalls(t, host)), { timeout: 20_000 })
    .toEqual(before.map((calls) => calls + 1))
  for (const { services } of [t, other]) await services.jobQueue.stop(1000)
  expect(hosts.map((host) => refreshCalls(t, host))).toEqual(before.map((calls) => calls + 1))
})
