import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { BUSY_MACHINE, startWorld, type World } from '../chaos/world.ts'
import { rows } from '../helpers/connect.ts'
import { startReceiver } from '../helpers/receiver.ts'
import type { Replica } from '../helpers/replica.ts'

vi.setConfig(BUSY_MACHINE)

let world: World

beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const env = () => ({ DATABASE_URL: String(world.t.settings.DATABASE_URL) })
const KILLS = 6

test('a replica killed again and again between a change and its delivery loses no event, and none comes under two ids', async () => {
  const { t } = world
  const receiver = await startReceiver()
  await t.api('POST', '/v1/webhook-endpoints', { body: { url: receiver.url, events: ['host.reconnect_required'] } })
  const hosts: string[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    const replica: Replica = await world.replica(env())
    const grown = await Promise.all(Array.from({ length: 5 }, () => world.expiredHost()))
    for (const { grantId, hostId } of grown) {
      hosts.push(hostId)
      // the change and its event, as any of the service's statements makes it; the replica finds it a moment later
      await rows(
        t,
        `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'expired' WHERE grant_id = $1`,
        [grantId],
      )
    }
    // sometimes before it was claimed, sometimes with a claim or an attempt in hand
    const dispatched = Math.min(kill, 4)
    await expect
      .poll(async () => (await rows(t, 'SELECT FROM webhook_events WHERE dispatched_at IS NOT NULL')).length, {
        timeout: 20_000,
      })
      .toBeGreaterThanOrEqual(dispatched)
    await replica.stop('SIGKILL')
  }
  // what the dead had in hand is free again: their thirty seconds have passed
  await rows(t, 'UPDATE webhook_events SET claimed_until = now()')
  await rows(t, 'UPDATE webhook_deliveries SET attempting_until = now(), enqueued_at = NULL')
  const last = await world.replica(env())
  const told = () => new Set(receiver.received.map(({ event }) => event.data.host_id))
  await expect.poll(() => told().size, { timeout: 40_000 }).toBe(hosts.length)
  expect([...told()].sort()).toEqual([...hosts].sort())
  const idsByHost = new Map<unknown, Set<string>>()
  for (const { id, event } of receiver.received)
    idsByHost.set(event.data.host_id, (idsByHost.get(event.data.host_id) ?? new Set()).add(id))
  expect([...idsByHost.values()].filter((ids) => ids.size > 1)).toEqual([])
  await last.stop()
})
