import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobQueues } from '../../src/jobs/queues.ts'
import { startRounds } from '../../src/jobs/rounds.ts'
import { jobRounds } from '../../src/jobs/tasks.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { type Received, startReceiver } from '../helpers/receiver.ts'
import { vaultApp } from '../helpers/vault.ts'

const t = await vaultApp()
const signal = new AbortController().signal

beforeAll(() => t.services.jobQueue.ensureStarted(jobQueues(t.services)))
afterAll(() => t.services.jobQueue.stop(1000))

const until = (check: () => unknown) => expect.poll(check, { timeout: 15_000, interval: 50 })

async function tick() {
  await t.services.dispatch.dispatchAcrossTenants(signal)
  await t.services.dispatch.enqueueAcrossTenants(signal)
}
/** A tenant with one receiver behind so many endpoints. */
async function tenantTold(answer: (response: ServerResponse, received: Received) => void, endpoints = 1) {
  const { id, headers } = await newTenant(t)
  const receiver = await startReceiver(answer)
  for (let made = 0; made < endpoints; made++) {
    const created = await t.api('POST', '/v1/webhook-endpoints', { body: { url: receiver.url }, headers })
    expect(created.statusCode).toBe(201)
  }
  return { tenantId: id, receiver }
}
type Told = Awaited<ReturnType<typeof tenantTold>>

/** As a trigger writes it. */
const happens = ({ tenantId }: Told, type: string) =>
  rows(t, `INSERT INTO webhook_events (tenant_id, type, subject_id) VALUES ($1, $2, gen_random_uuid())`, [
    tenantId,
    type,
  ])
const deliveryOf = async ({ tenantId }: Told, type: string) => {
  const [row] = await rows<{ status: string; attempts: number; waits: number; since: number }>(
    t,
    `SELECT d.status, d.attempts, EXTRACT(EPOCH FROM d.next_attempt_at - now())::float8 AS waits,
            EXTRACT(EPOCH FROM d.next_attempt_at - d.last_attempt_at)::float8 AS since
       FROM webhook_deliveries d JOIN webhook_events e ON e.id = d.event_id
      WHERE e.tenant_id = $1 AND e.type = $2 AND d.attempting_until IS NULL`,
    [tenantId, type],
  )
  return row
}
const attemptsOf = async (told: Told, type: string) => (await deliveryOf(told, type))?.attempts

test('an event that its receiver refuses, while it takes others, has more than a day all the same', async () => {
  const told = await tenantTold((response, { event }) => {
    if (event.type === 'host.blocked') response.statusCode = 500
  })
  await happens(told, 'host.blocked')
  await tick()
  await until(() => attemptsOf(told, 'host.blocked')).toBe(1)
  for (let taken = 1; taken <= 15; taken++) {
    await happens(told, 'host.connected')
    await tick()
    await until(() => told.receiver.types().filter((type) => type === 'host.connected').length).toBe(taken)
    await tick()
    await until(async () => (await deliveryOf(told, 'host.blocked')) !== undefined).toBe(true)
  }
  const refused = await deliveryOf(told, 'host.blocked')
  expect(refused?.status).toBe('pending')
  expect(refused?.attempts).toBeLessThan(5)
})

test('what waits for an endpoint that was down follows within a minute once one event gets through', async () => {
  let isDown = true
  const told = await tenantTold((response) => {
    if (isDown) response.statusCode = 503
  })
  await happens(told, 'host.blocked')
  await tick()
  await until(() => attemptsOf(told, 'host.blocked')).toBe(1)
  // hours later: the next attempt is far away, the last one long past
  await rows(
    t,
    `UPDATE webhook_deliveries d SET attempts = 9, last_attempt_at = now() - interval '2 h', next_attempt_at = now() + interval '2 h'
       FROM webhook_events e WHERE e.id = d.event_id AND e.tenant_id = $1`,
    [told.tenantId],
  )
  isDown = false
  await happens(told, 'host.connected')
  await tick()
  await until(async () => (await deliveryOf(told, 'host.connected'))?.status).toBe('delivered')
  await until(async () => ((await deliveryOf(told, 'host.blocked'))?.waits ?? 1) <= 0).toBe(true)
  await tick()
  await until(async () => (await deliveryOf(told, 'host.blocked'))?.status).toBe('delivered')
})

test('twenty endpoints of one tenant that hang keep nobody else’s events for longer than one deadline', async () => {
  const hanging = await tenantTold((response) => {
    response.statusCode = 0 // never answers
  }, 20)
  for (let event = 0; event < 3; event++) await happens(hanging, 'host.connected')
  await tick()
  await until(() => hanging.receiver.received.length).toBeGreaterThanOrEqual(16)
  const other = await tenantTold(() => {})
  await happens(other, 'host.connected')
  const startMs = performance.now()
  await tick()
  await expect.poll(() => tick().then(() => other.receiver.received.length), { timeout: 60_000, interval: 500 }).toBe(1)
  expect(performance.now() - startMs).toBeLessThan(15_000)
}, 90_000)

test('where thousands of hosts change at once, the first events arrive while the last are not dispatched yet', async () => {
  const told = await tenantTold(() => {})
  await rows(
    t,
    `INSERT INTO webhook_events (tenant_id, type, subject_id)
     SELECT $1, 'host.connected', gen_random_uuid() FROM generate_series(1, 20000)`,
    [told.tenantId],
  )
  const { services, app } = t
  const stop = startRounds({
    rounds: jobRounds(services, app.config),
    lookAtDatabase: services.lookAtDatabase,
    isForeign: services.installation.isForeign,
    log: app.log,
    random: Math.random,
  })
  await expect.poll(() => told.receiver.received.length, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0)
  const [left] = await rows<{ count: number }>(
    t,
    `SELECT count(*)::int AS count FROM webhook_events WHERE tenant_id = $1 AND dispatched_at IS NULL`,
    [told.tenantId],
  )
  await stop()
  expect(left?.count).toBeGreaterThan(0)
}, 90_000)
