import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RETRY_SECONDS } from '../../src/features/notifications/deliveries.ts'
import { jobQueues } from '../../src/jobs/queues.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { unique } from '../helpers/management.ts'
import { isSignedBy, startReceiver } from '../helpers/receiver.ts'
import { expireAccessToken, newVaultHost, told, twoReplicas, type VaultHost } from '../helpers/vault.ts'

const { t, other } = await twoReplicas()
const signal = new AbortController().signal

beforeAll(async () => {
  for (const { services } of [t, other]) await services.jobQueue.ensureStarted(jobQueues(services))
})
afterAll(() => Promise.all([t, other].map(({ services }) => services.jobQueue.stop(1000))))

/** What the clock does every second or two, on both replicas at once. */
async function tick() {
  const all = [t, other].map(({ services }) => services.dispatch)
  await Promise.all(all.map((dispatch) => dispatch.dispatchAcrossTenants(signal)))
  await Promise.all(all.map((dispatch) => dispatch.enqueueAcrossTenants(signal)))
}
/** Lets the time of the next attempt come, once those under way have ended. */
async function hurry(endpointId: string) {
  const due = `FROM webhook_deliveries WHERE endpoint_id = $1 AND status = 'pending'`
  await until(() => rows(t, `SELECT id ${due} AND attempting_until IS NOT NULL`, [endpointId])).toEqual([])
  await rows(
    t,
    `UPDATE webhook_deliveries SET next_attempt_at = now(), enqueued_at = NULL WHERE id IN (SELECT id ${due})`,
    [endpointId],
  )
}

async function endpoint(url: string, headers: Record<string, string>, body: Record<string, unknown> = {}) {
  const created = await t.api('POST', '/v1/webhook-endpoints', { body: { url, ...body }, headers })
  expect(created.statusCode).toBe(201)
  return created.json() as { id: string; secret: string }
}
const deliveriesOf = async (id: string, headers: Record<string, string>) =>
  (await t.api('GET', `/v1/webhook-endpoints/${id}/deliveries`, { headers })).json().data as {
    id: string
    event_id: string
    event_type: string
    status: string
    attempts: number
    last_status_code: number | null
    last_error: string | null
  }[]

/** A host of a tenant of its own, and nobody listening yet. */
async function tenantWithHost() {
  const { headers } = await newTenant(t)
  const externalUserId = unique()
  const email = `${externalUserId}@example.com`
  t.zoom.addUser({ email })
  const { id } = await t.connectHost(externalUserId, email, headers)
  await tick()
  return { headers, externalUserId, email, hostId: id }
}
type Tenant = Awaited<ReturnType<typeof tenantWithHost>>

/** Zoom ends the grant, and somebody notices. */
async function endGrant({ hostId, email }: Tenant) {
  const [host] = await rows<{ grant_id: string }>(t, 'SELECT grant_id FROM hosts WHERE id = $1', [hostId])
  const grantId = String(host?.grant_id)
  t.zoom.revokeGrant(email)
  await rows(t, `UPDATE grant_tokens SET access_expires_at = now() WHERE grant_id = $1`, [grantId])
  await t.services.vault.freshen(grantId, 60)
}
const until = (check: () => unknown) => expect.poll(check, { timeout: 15_000, interval: 50 })

describe('an endpoint', () => {
  test('is told of a host that must reconnect: signed, why, a link that works, and the passes that will fail', async () => {
    const tenant = await tenantWithHost()
    const receiver = await startReceiver()
    const { secret } = await endpoint(receiver.url, tenant.headers)
    const joinAt = new Date(Date.now() + 3600_000).toISOString()
    const pass = await t.createPass(
      { meeting: '912345678', host: { host_id: tenant.hostId }, join_at: joinAt },
      tenant.headers,
    )
    await endGrant(tenant)
    await tick()
    await until(receiver.types).toEqual(['host.reconnect_required'])
    const [received] = receiver.received
    if (!received) throw new Error('nothing received')
    expect(isSignedBy(secret, received)).toBe(true)
    expect(received.event.id).toBe(received.id)
    expect(received.event.data).toMatchObject({
      host_id: tenant.hostId,
      external_user_id: tenant.externalUserId,
      status: 'reconnect_required',
      status_reason: 'rejected_by_zoom',
      next_passes: [{ pass_id: pass.id, meeting_id: '912345678', join_at: joinAt }],
    })
    expect(received.body).not.toContain(tenant.email)
    const { url } = received.event.data.connect_link as { url: string }
    await t.follow(url, tenant.email)
    await tick()
    await until(() => [...receiver.types()].sort()).toEqual([
      'host.connected',
      'host.reconnect_required',
      'host.recovered',
    ])
  })

  test('that is down for an hour misses nothing, and gets nothing twice under another id', async () => {
    const tenant = await tenantWithHost()
    let isDown = true
    const receiver = await startReceiver((response) => {
      if (isDown) response.statusCode = 503
    })
    const { id } = await endpoint(receiver.url, tenant.headers)
    await endGrant(tenant)
    await t.connectHost(tenant.externalUserId, tenant.email, tenant.headers)
    await tick()
    await until(async () => (await deliveriesOf(id, tenant.headers)).map(({ attempts }) => attempts)).toEqual([1, 1, 1])
    // the hour passes, attempt by attempt
    for (let attempt = 2; attempt <= 6; attempt++) {
      await hurry(id)
      await tick()
      await until(async () =>
        (await deliveriesOf(id, tenant.headers)).every(({ attempts }) => attempts === attempt),
      ).toBe(true)
    }
    const refused = await deliveriesOf(id, tenant.headers)
    expect(new Set(refused.map(({ status, last_status_code }) => `${status} ${last_status_code}`))).toEqual(
      new Set(['pending 503']),
    )
    isDown = false
    receiver.received.length = 0
    await hurry(id)
    await tick()
    await until(async () =>
      (await deliveriesOf(id, tenant.headers)).every(({ status }) => status === 'delivered'),
    ).toBe(true)
    expect([...receiver.types()].sort()).toEqual(['host.connected', 'host.reconnect_required', 'host.recovered'])
    expect(new Set(receiver.received.map(({ event }) => event.id)).size).toBe(3)
  })

  test('gets the same event under the same id when somebody asks for it again', async () => {
    const tenant = await tenantWithHost()
    const receiver = await startReceiver()
    const { id } = await endpoint(receiver.url, tenant.headers)
    await endGrant(tenant)
    await tick()
    await until(receiver.types).toHaveLength(1)
    await until(async () => (await deliveriesOf(id, tenant.headers))[0]?.status).toBe('delivered')
    const [delivery] = await deliveriesOf(id, tenant.headers)
    const again = await t.api('POST', `/v1/webhook-endpoints/${id}/deliveries/${delivery?.id}/redeliver`, {
      headers: tenant.headers,
    })
    expect(again.statusCode).toBe(202)
    await tick()
    await until(receiver.types).toHaveLength(2)
    const [first, second] = receiver.received
    expect([second?.id, second?.body]).toEqual([first?.id, first?.body])
  })

  test('that hangs delays no other', async () => {
    const tenant = await tenantWithHost()
    const slow = await startReceiver((response) => {
      response.statusCode = 0 // never answers
    })
    const quick = await startReceiver()
    await endpoint(slow.url, tenant.headers)
    await endpoint(quick.url, tenant.headers)
    const others = await Promise.all([tenantWithHost(), tenantWithHost()])
    for (const one of others) await endpoint(quick.url, one.headers)
    for (const one of [tenant, ...others]) {
      await endGrant(one)
      await t.connectHost(one.externalUserId, one.email, one.headers)
    }
    const startMs = performance.now()
    await tick()
    await until(() => quick.received.length).toBe(9)
    expect(performance.now() - startMs).toBeLessThan(9000) // below the deadline of the one that hangs
  })

  test('that says 410 is switched off, and asked no more', async () => {
    const tenant = await tenantWithHost()
    const receiver = await startReceiver((response) => {
      response.statusCode = 410
    })
    const { id } = await endpoint(receiver.url, tenant.headers)
    await endGrant(tenant)
    await tick()
    await until(async () => (await deliveriesOf(id, tenant.headers))[0]?.status).toBe('failed')
    const shown = (await t.api('GET', `/v1/webhook-endpoints/${id}`, { headers: tenant.headers })).json()
    expect(shown.is_enabled).toBe(false)
  })

  test('hears only of its own tenant; the operator’s hears of all', async () => {
    const [mine, theirs] = [await tenantWithHost(), await tenantWithHost()]
    const [receiver, operators] = [await startReceiver(), await startReceiver()]
    await endpoint(receiver.url, mine.headers)
    const created = await t.api('POST', '/v1/operator/webhook-endpoints', {
      body: { url: operators.url, events: ['host.reconnect_required'] },
    })
    expect(created.statusCode).toBe(201)
    await endGrant(theirs)
    await endGrant(mine)
    await tick()
    await until(operators.types).toHaveLength(2)
    await until(receiver.types).toHaveLength(1)
    expect(receiver.received[0]?.event.data.host_id).toBe(mine.hostId)
    await t.api('DELETE', `/v1/operator/webhook-endpoints/${created.json().id}`)
  })
})

test('an event is given up after more than a day of attempts, and not sooner', async () => {
  const hours = RETRY_SECONDS.reduce((sum, seconds) => sum + seconds, 0) / 3600
  expect(hours).toBeGreaterThan(24)
  const tenant = await tenantWithHost()
  const receiver = await startReceiver((response) => {
    response.statusCode = 500
  })
  const { id } = await endpoint(receiver.url, tenant.headers)
  await endGrant(tenant)
  await tick()
  for (let attempt = 1; attempt <= RETRY_SECONDS.length + 1; attempt++) {
    await until(async () => (await deliveriesOf(id, tenant.headers))[0]?.attempts).toBe(attempt)
    const [delivery] = await deliveriesOf(id, tenant.headers)
    if (attempt <= RETRY_SECONDS.length) expect(delivery?.status).toBe('pending')
    await rows(t, `UPDATE webhook_deliveries SET created_at = now() - interval '36 h' WHERE endpoint_id = $1`, [id])
    await hurry(id)
    await tick()
  }
  await until(async () => (await deliveriesOf(id, tenant.headers))[0]?.status).toBe('failed')
})

test('what a killed replica had claimed and not dispatched is dispatched by another', async () => {
  const tenant = await tenantWithHost()
  const receiver = await startReceiver()
  await endpoint(receiver.url, tenant.headers)
  await endGrant(tenant)
  await rows(
    t,
    `UPDATE webhook_events SET claimed_until = now() + interval '30 s' WHERE subject_id = $1 AND dispatched_at IS NULL`,
    [tenant.hostId],
  )
  await tick()
  expect(receiver.types()).toEqual([])
  await rows(t, `UPDATE webhook_events SET claimed_until = now() WHERE subject_id = $1 AND dispatched_at IS NULL`, [
    tenant.hostId,
  ])
  await tick()
  await until(receiver.types).toEqual(['host.reconnect_required'])
})

test('no connect link, no secret of an endpoint, and of whom an event told, is in the database in clear', async () => {
  const tenant = await tenantWithHost()
  const receiver = await startReceiver()
  const { secret } = await endpoint(receiver.url, tenant.headers)
  await endGrant(tenant)
  await tick()
  await until(receiver.types).toHaveLength(1)
  const link = receiver.received[0]?.event.data.connect_link
  const { url } = link as { url: string }
  const session = String(new URL(url).searchParams.get('session'))
  const everything = JSON.stringify(
    await Promise.all(
      ['webhook_events', 'webhook_deliveries', 'webhook_endpoints', 'connect_sessions', 'pgboss.job'].map((table) =>
        rows(t, `SELECT r::text FROM ${table} r`),
      ),
    ),
  )
  expect(everything).not.toContain(session)
  const events = await rows(t, 'SELECT r::text FROM webhook_events r WHERE subject_id = $1', [tenant.hostId])
  expect(JSON.stringify(events)).not.toContain(tenant.externalUserId)
  expect(everything).not.toContain(secret.slice(6))
  expect(t.log.join('')).not.toContain(session)
})

async function failedJoin(host: VaultHost) {
  await expireAccessToken(t, host)
  t.zoom.revokeGrant(host.email)
  expect(told(await t.bot(host.joinUrl))).toEqual([404, 'reconnect_required'])
  await t.services.ledger.flush()
}

test('a pass that failed is told with its code and the tenant’s own metadata', async () => {
  const receiver = await startReceiver()
  const created = await t.api('POST', '/v1/webhook-endpoints', { body: { url: receiver.url, events: ['pass.failed'] } })
  const host = await newVaultHost(t)
  await failedJoin(host)
  await tick()
  await until(receiver.types).toEqual(['pass.failed'])
  expect(receiver.received[0]?.event.data).toMatchObject({
    pass_id: host.passId,
    kind: 'join',
    meeting_id: host.meeting,
    code: 'reconnect_required',
    metadata: {},
  })
  await t.api('DELETE', `/v1/webhook-endpoints/${created.json().id}`)
})
