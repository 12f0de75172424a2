import { afterAll, afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { DEFAULT_MODES } from '../../simulator/seed.ts'
import { createSyncStore } from '../../src/features/meetings/sync-store.ts'
import { jobQueues } from '../../src/jobs/queues.ts'
import { startTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { newTenantWithKey, outcomeOf, unique } from '../helpers/management.ts'
import { newNumber } from '../helpers/meeting-events.ts'
import { newVaultHost, told, type VaultHost } from '../helpers/vault.ts'

const t = await startTestApp()
afterAll(() => t.stop())
afterEach(() => {
  t.zoom.clearFaults()
  t.zoom.setModes(DEFAULT_MODES)
})
const { meetingSync } = t.services
const running = new AbortController().signal

const sync = ({ grantId }: Pick<VaultHost, 'grantId'>) => meetingSync.run(grantId, running)
const syncOf = async ({ hostId }: Pick<VaultHost, 'hostId'>, headers = {}) =>
  (await t.api('GET', `/v1/hosts/${hostId}`, { headers })).json().sync
const mappingOf = async (id: string, headers = {}) => (await t.api('GET', `/v1/meetings/${id}`, { headers })).json()
const listCalls = ({ email }: Pick<VaultHost, 'email'>) =>
  t.zoom.log({ path: '/v2/users/me/meetings', user_id: email }).length
const isDue = async ({ grantId }: VaultHost) =>
  (await rows(t, 'SELECT FROM grant_syncs WHERE grant_id = $1 AND due_at <= now()', [grantId])).length > 0
const nextHours = async ({ grantId }: VaultHost) => {
  const hours = `EXTRACT(EPOCH FROM due_at - now())::float8 / 3600 AS hours`
  return Number((await rows(t, `SELECT ${hours} FROM grant_syncs WHERE grant_id = $1`, [grantId]))[0]?.hours)
}
const meetingsOf = ({ email }: VaultHost, count: number) =>
  Array.from({ length: count }, () => t.zoom.addMeeting({ id: newNumber(), host: email }).id)
const fault = ({ email }: VaultHost, path: string, action: object, more: object = {}) =>
  t.zoom.setFault({ match: { path, user_id: email }, action, ...more } as Parameters<typeof t.zoom.setFault>[0])

test('900 meetings and the personal room are mapped within 10 s of the connect, in every tenant that shares the grant, while bots are served', async () => {
  t.zoom.setModes({ enforceRateLimit: true, rateLimitPerSecond: { light: 1000, medium: 20 } })
  const server = await newVaultHost(t) // of another account: its bots do not wait for anybody's lists
  const email = `${unique()}@example.com`
  const { pmi } = t.zoom.addUser({ email })
  const numbers = Array.from({ length: 900 }, () => t.zoom.addMeeting({ id: newNumber(), host: email }).id)
  const tenants = [await newTenant(t), await newTenant(t)]
  await t.services.jobQueue.ensureStarted(jobQueues(t.services))
  for (const { headers } of tenants) await t.connectHost('ann', email, headers)
  const startedAt = performance.now()
  const clock = setInterval(() => void meetingSync.enqueueAcrossTenants(), 1000) // as the rounds do
  onTestFinished(async () => {
    clearInterval(clock)
    await t.services.jobQueue.stop(1000)
  })
  const mintMs: number[] = []
  const isMapped = async () => {
    const asked = performance.now()
    expect(told(await t.bot(server.joinUrl))).toEqual([200])
    mintMs.push(performance.now() - asked)
    const counted = `SELECT count(*)::int AS count FROM meetings
                      WHERE tenant_id = ANY ($1::uuid[]) AND source = 'sync' AND external_user_id = 'ann' AND meeting_id = ANY ($2)`
    const [row] = await rows(t, counted, [tenants.map(({ id }) => id), [...numbers, pmi]])
    return row?.count
  }
  await meetingSync.enqueueAcrossTenants()
  await expect.poll(isMapped, { timeout: 10_000, interval: 50 }).toBe(2 * 901)
  expect(performance.now() - startedAt).toBeLessThan(10_000)
  expect(mintMs.filter((ms) => ms > 1000)).toEqual([])
  for (const { headers } of tenants) {
    const ofTenant = async () => (await t.api('GET', '/v1/hosts', { headers })).json().data[0].sync
    await expect.poll(ofTenant, { timeout: 5000 }).toMatchObject({ status: 'done', meetings: 901, code: null })
  }
})

describe('a sync', () => {
  test('is due at once when a host connects, and then about every six hours', async () => {
    const host = await newVaultHost(t)
    expect(await syncOf(host)).toEqual({
      status: 'queued',
      started_at: null,
      finished_at: null,
      meetings: 0,
      code: null,
    })
    expect(await isDue(host)).toBe(true)
    await sync(host)
    expect(await syncOf(host)).toMatchObject({ status: 'done', meetings: 2, code: null })
    expect(await nextHours(host)).toBeGreaterThan(4.7)
    expect(await nextHours(host)).toBeLessThan(7.3)
    await t.connectHost(host.externalUserId, host.email)
    expect(await isDue(host)).toBe(true)
  })

  test('of a grant that nobody uses waits until its access token lives again; one that is asked for does not', async () => {
    const host = await newVaultHost(t)
    await sync(host)
    await rows(t, 'UPDATE grant_tokens SET access_expires_at = now() WHERE grant_id = $1', [host.grantId])
    await rows(t, 'UPDATE grant_syncs SET due_at = now() WHERE grant_id = $1', [host.grantId])
    const claimed = async () => (await createSyncStore(t.app.sql).claim(100)).includes(host.grantId)
    expect(await claimed()).toBe(false)
    expect(await nextHours(host)).toBeLessThan(1) // within the life of an access token that a bot brings
    await t.api('POST', `/v1/hosts/${host.hostId}/sync`)
    await rows(t, 'UPDATE grant_syncs SET due_at = now() WHERE grant_id = $1', [host.grantId])
    expect(await claimed()).toBe(true)
  })

  test('finds a meeting that is under way and in no schedule, and none that has ended', async () => {
    const host = await newVaultHost(t)
    const [live, over] = [newNumber(), newNumber()]
    t.zoom.addMeeting({ id: live, host: host.email, type: 1, live: true })
    t.zoom.addMeeting({ id: over, host: host.email, type: 1, ended: true })
    await sync(host)
    expect(await mappingOf(live)).toMatchObject({ host_id: host.hostId, source: 'sync' })
    expect(await mappingOf(over)).toMatchObject({ code: 'not_found' })
  })

  test('maps nothing for a tenant whose consent the user has taken back since, and tells it nothing', async () => {
    const host = await newVaultHost(t)
    const { id, headers } = await newTenant(t)
    const other = await t.connectHost('ann', host.email, headers)
    await rows(t, 'UPDATE grant_tokens SET consent_epoch = consent_epoch + 1 WHERE grant_id = $1', [host.grantId])
    await rows(t, 'UPDATE hosts SET consent_epoch = consent_epoch + 1 WHERE tenant_id = $1', [id])
    const [number] = meetingsOf(host, 1)
    await sync(host)
    expect(await mappingOf(String(number), headers)).toMatchObject({ host_id: other.id })
    expect(await mappingOf(String(number))).toMatchObject({ code: 'not_found' })
    expect(await syncOf(host)).toMatchObject({ status: 'never', meetings: 0 })
  })

  test('leaves alone what the tenant itself has said, or has deleted, even while Zoom was asked', async () => {
    const host = await newVaultHost(t)
    const other = await newVaultHost(t)
    const [said, deleted] = meetingsOf(host, 2) as [string, string]
    await t.api('PUT', `/v1/meetings/${said}`, { body: { host_id: other.hostId } })
    const held = fault(host, '/v2/users/me/meetings', { type: 'hold' }, { times: 1, effect: 'before' })
    const syncing = sync(host)
    await held.hit()
    await t.api('PUT', `/v1/meetings/${deleted}`, { body: { host_id: host.hostId } })
    await t.api('DELETE', `/v1/meetings/${deleted}`)
    held.release()
    await syncing
    await sync(host)
    expect(await mappingOf(said)).toMatchObject({ host_id: other.hostId, source: 'api' })
    expect(await mappingOf(deleted)).toMatchObject({ code: 'not_found' })
  })

  test('without the scope that lists meetings is none the worse: the personal room is known', async () => {
    const host = await newVaultHost(t)
    fault(host, '/v2/users/me/meetings', { type: 'status', status: 400, body: { code: 4711, message: 'no scope' } })
    await sync(host)
    expect(await syncOf(host)).toMatchObject({ status: 'done', meetings: 1, code: 'missing_scope' })
  })

  test('waits a moment where Zoom asks for one, and goes on with the same page', async () => {
    const host = await newVaultHost(t)
    const [number] = meetingsOf(host, 1)
    const answer = { type: 'status', status: 429, body: { code: 429 }, headers: { 'retry-after': '1' } }
    fault(host, '/v2/users/me/meetings', answer, { times: 1 })
    await sync(host)
    expect(await syncOf(host)).toMatchObject({ status: 'done', code: null })
    expect(await mappingOf(String(number))).toMatchObject({ host_id: host.hostId })
  })

  test('leaves a whole customer account alone for as long as Zoom says, and its bots are served', async () => {
    const host = await newVaultHost(t)
    const until = new Date(Date.now() + 3 * 3600 * 1000).toISOString()
    const answer = { type: 'status', status: 429, body: { code: 429 }, headers: { 'retry-after': until } }
    fault(host, '/v2/users/me/meetings', answer)
    await sync(host)
    expect(await syncOf(host)).toMatchObject({ status: 'failed', code: 'zoom_rate_limited' })
    expect(await nextHours(host)).toBeGreaterThan(2.9)
    const calls = listCalls(host)
    await rows(t, 'UPDATE grant_syncs SET due_at = now() WHERE grant_id = $1', [host.grantId])
    await sync(host)
    expect(listCalls(host)).toBe(calls)
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
  })

  test('is one at a time in a customer account', async () => {
    const [host, colleague] = [await newVaultHost(t), await newVaultHost(t)]
    const account = unique()
    const grants = [host.grantId, colleague.grantId]
    await rows(t, 'UPDATE grants SET zoom_account_id = $2 WHERE id = ANY ($1::uuid[])', [grants, account])
    const held = fault(host, '/v2/users/me/meetings', { type: 'hold' }, { times: 1, effect: 'before' })
    const syncing = sync(host)
    await held.hit()
    await sync(colleague)
    expect(listCalls(colleague)).toBe(0)
    expect(await syncOf(colleague)).toMatchObject({ status: 'queued' })
    held.release()
    await syncing
    await sync(colleague)
    expect(await syncOf(colleague)).toMatchObject({ status: 'done' })
    expect(await rows(t, 'SELECT FROM account_syncs WHERE grant_id = ANY ($1::uuid[])', [grants])).toEqual([])
  })

  test('of a host who must reconnect asks Zoom nothing, and says why', async () => {
    const host = await newVaultHost(t)
    await rows(t, `UPDATE grant_tokens SET status = 'reconnect_required' WHERE grant_id = $1`, [host.grantId])
    await sync(host)
    expect(await syncOf(host)).toMatchObject({ status: 'failed', code: 'reconnect_required' })
    expect(listCalls(host)).toBe(0)
  })

  test('of a grant that nobody links any more is forgotten', async () => {
    const host = await newVaultHost(t)
    await rows(t, 'DELETE FROM hosts WHERE id = $1', [host.hostId])
    await sync(host)
    expect(listCalls(host)).toBe(0)
    expect(await rows(t, 'SELECT FROM grant_syncs WHERE grant_id = $1', [host.grantId])).toEqual([])
  })
})

describe('POST /v1/hosts/{id}/sync', () => {
  test('has the host’s meetings read once more, at most once a minute', async () => {
    const host = await newVaultHost(t)
    await sync(host)
    const asked = await t.api('POST', `/v1/hosts/${host.hostId}/sync`)
    expect([asked.statusCode, asked.json().sync.status]).toEqual([202, 'queued'])
    expect(await isDue(host)).toBe(false)
    await rows(t, `UPDATE grant_syncs SET started_at = now() - interval '1 min' WHERE grant_id = $1`, [host.grantId])
    await t.api('POST', `/v1/hosts/${host.hostId}/sync`)
    expect(await isDue(host)).toBe(true)
  })

  test('while one is under way has another follow it, and never reads as done before', async () => {
    const host = await newVaultHost(t)
    const held = fault(host, '/v2/users/me/meetings', { type: 'hold' }, { times: 1, effect: 'before' })
    const syncing = sync(host)
    await expect.poll(async () => (await syncOf(host)).status).toBe('running')
    await held.hit()
    expect((await t.api('POST', `/v1/hosts/${host.hostId}/sync`)).json().sync.status).toBe('running')
    held.release()
    await syncing
    expect(await syncOf(host)).toMatchObject({ status: 'queued' })
    await expect.poll(() => isDue(host), { timeout: 3000 }).toBe(true)
  })

  test('is for the tenant’s own hosts, by a key that may change them', async () => {
    const host = await newVaultHost(t)
    const [other, reader] = [await newTenantWithKey(t), await newTenantWithKey(t, ['hosts:read'])]
    const url = `/v1/hosts/${host.hostId}/sync`
    expect(outcomeOf(await other.call('POST', url))).toEqual([404, 'not_found'])
    expect(outcomeOf(await reader.call('POST', url))).toEqual([403, 'forbidden'])
  })
})

describe('what was found', () => {
  const age = (id: string, days: number) =>
    rows(t, `UPDATE meetings SET observed_at = now() - $2 * interval '1 day' WHERE meeting_id = $1`, [id, days])

  test('goes after 30 days without a sign of life; what the tenant said stays', async () => {
    const host = await newVaultHost(t)
    const [old, recent, said] = meetingsOf(host, 3) as [string, string, string]
    await sync(host)
    await t.api('PUT', `/v1/meetings/${said}`, { body: { host_id: host.hostId } })
    await age(old, 31)
    await age(recent, 29)
    await age(said, 400)
    await meetingSync.purgeAcrossTenants()
    expect(await mappingOf(old)).toMatchObject({ code: 'not_found' })
    expect(await mappingOf(recent)).toMatchObject({ host_id: host.hostId })
    expect(await mappingOf(said)).toMatchObject({ host_id: host.hostId })
  })

  test('from an event lives on while Zoom still lists it', async () => {
    const host = await newVaultHost(t)
    const [number] = meetingsOf(host, 1) as [string]
    await sync(host)
    await rows(t, `UPDATE meetings SET source = 'event' WHERE meeting_id = $1`, [number])
    await age(number, 100)
    await sync(host)
    await meetingSync.purgeAcrossTenants()
    expect(await mappingOf(number)).toMatchObject({ host_id: host.hostId, source: 'event' })
  })
})
