import { afterAll, expect, test } from 'vitest'
import { startTestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { outcomeOf, unique } from '../helpers/management.ts'
import { startPostgresProxy } from '../helpers/postgres-proxy.ts'
import { grantRow, newVaultHost, secondReplica, type VaultHost } from '../helpers/vault.ts'
import { deauthorization, userEvent, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET } })
const proxy = await startPostgresProxy(t.databaseUrl)
/** It reaches the database through the proxy; `t` looks at it directly. */
const replica = await secondReplica(t, { DATABASE_URL: proxy.url })
afterAll(async () => {
  proxy.open()
  await replica.app.close()
  await proxy.close()
  await t.stop()
})

/** What Zoom sends when the host's user removes the app. */
async function removalOf({ grantId }: VaultHost) {
  const [row] = await rows<{ user: string; account: string }>(
    t,
    'SELECT zoom_user_id AS user, zoom_account_id AS account FROM grants WHERE id = $1',
    [grantId],
  )
  return deauthorization(String(row?.user), String(row?.account))
}
const inbox = () => rows<{ outcome: string | null }>(t, 'SELECT outcome FROM zoom_events ORDER BY received_at')
const reasonOf = async (host: VaultHost) => (await grantRow(t, host)).reason
const settled = () => t.services.zoomEvents.processAcrossTenants()

test('an event is in effect within a second of its answer', async () => {
  const host = await newVaultHost(t)
  expect((await zoomSends(t, await removalOf(host))).statusCode).toBe(204)
  await expect.poll(() => reasonOf(host), { timeout: 1000, interval: 20 }).toBe('deauthorized')
})

test('without the database an event is answered 503 within Zoom’s 3 s, and its retry is taken', async () => {
  const host = await newVaultHost(t)
  const event = await removalOf(host)
  proxy.cut()
  const startedAtMs = performance.now()
  expect(outcomeOf(await zoomSends(replica, event))).toEqual([503, 'store_unavailable'])
  expect(performance.now() - startedAtMs).toBeLessThan(3000)
  proxy.open()
  await expect.poll(() => zoomSends(replica, event).then(({ statusCode }) => statusCode)).toBe(204)
  await expect.poll(() => reasonOf(host)).toBe('deauthorized')
})

test('with a database that hangs an event is answered 503 within Zoom’s 3 s', async () => {
  const host = await newVaultHost(t)
  const event = await removalOf(host)
  const held = proxy.hold({ statement: 'zoom_event_keep', when: 'request' })
  const startedAtMs = performance.now()
  expect(outcomeOf(await zoomSends(replica, event))).toEqual([503, 'store_unavailable'])
  expect(performance.now() - startedAtMs).toBeLessThan(3000)
  held.release()
  await expect.poll(() => zoomSends(replica, event).then(({ statusCode }) => statusCode)).toBe(204)
  await expect.poll(() => reasonOf(host)).toBe('deauthorized')
})

test('an event whose storing was confirmed to nobody is stored once all the same', async () => {
  const event = await removalOf(await newVaultHost(t))
  const before = (await inbox()).length
  const lost = proxy.lose({ statement: 'zoom_event_keep', when: 'response' })
  expect(outcomeOf(await zoomSends(replica, event))).toEqual([503, 'store_unavailable'])
  await lost
  expect((await zoomSends(replica, event)).statusCode).toBe(204)
  expect(await inbox()).toHaveLength(before + 1)
})

test('what two replicas take in and do at once changes the grant once', async () => {
  const host = await newVaultHost(t)
  const { gen } = await grantRow(t, host)
  const event = await removalOf(host)
  const answers = await Promise.all([t, replica, t, replica].map((where) => zoomSends(where, event)))
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([204, 204, 204, 204])
  await Promise.all([settled(), replica.services.zoomEvents.processAcrossTenants()])
  await expect.poll(() => reasonOf(host)).toBe('deauthorized')
  expect((await grantRow(t, host)).gen).toBe(gen + 1)
})

test('what a process had in hand when it died is done by another, once its claim has ended', async () => {
  const host = await newVaultHost(t)
  // it does what the event says, and dies before it can say so
  const lost = proxy.lose({ statement: 'zoom_event_done', when: 'request' })
  expect((await zoomSends(replica, await removalOf(host))).statusCode).toBe(204)
  await lost
  // it lives on here, and puts the event off for a minute: only then its claim is as a dead one's
  const putOff = `SELECT FROM zoom_events WHERE processed_at IS NULL AND claimed_until > now() + interval '40 s'`
  await expect.poll(() => rows(t, putOff)).toHaveLength(1)
  await settled()
  expect((await inbox()).at(-1)).toEqual({ outcome: null }) // still its own
  await rows(t, `UPDATE zoom_events SET claimed_until = now() - interval '1 ms' WHERE processed_at IS NULL`)
  await settled()
  expect((await inbox()).at(-1)?.outcome).toBe('older')
  expect(await reasonOf(host)).toBe('deauthorized')
})

test('a process that stops begins no other event, and ends the one in hand', async () => {
  const host = await newVaultHost(t)
  const stopping = await secondReplica(t)
  const held = await t.admin.connect()
  await held.query('BEGIN')
  await held.query('SELECT FROM grants WHERE id = $1 FOR UPDATE', [host.grantId])
  await zoomSends(stopping, await removalOf(host))
  await expect.poll(async () => (await rows(t, 'SELECT FROM pg_locks WHERE NOT granted')).length).toBeGreaterThan(0)
  const closed = stopping.app.close()
  await held.query('ROLLBACK')
  held.release()
  await closed
  expect((await inbox()).at(-1)).toEqual({ outcome: 'applied' })
})

test('an inbox that is full says 503, and takes the event when there is room', async () => {
  const app = 'SELECT id FROM zoom_apps LIMIT 1'
  await rows(
    t,
    `INSERT INTO zoom_events (id, zoom_app_id, body_hash, claimed_until)
     SELECT gen_random_uuid(), (${app}), int4send(i), now() + interval '1 hour' FROM generate_series(1, 50000) i`,
  )
  const event = userEvent('user.deleted', unique(), unique())
  expect(outcomeOf(await zoomSends(t, event))).toEqual([503, 'busy'])
  await rows(t, 'DELETE FROM zoom_events')
  expect((await zoomSends(t, event)).statusCode).toBe(204)
})
