import { describe, expect, test } from 'vitest'
import { CLIENT_ID, newTenant, rows } from '../helpers/connect.ts'
import { unique } from '../helpers/management.ts'
import {
  expireAccessToken,
  mintFault,
  newVaultHost,
  refreshFault,
  secondReplica,
  told,
  type VaultHost,
  vaultApp,
} from '../helpers/vault.ts'

const t = await vaultApp()

interface Event {
  type: string
  facts: Record<string, unknown>
}
/** What was written of a host, a pass or a Zoom app, in order. */
const eventsOf = (subjectId: string) =>
  rows<Event>(t, 'SELECT type, facts FROM webhook_events WHERE subject_id = $1 ORDER BY position', [subjectId])
const typesOf = async (subjectId: string) => (await eventsOf(subjectId)).map(({ type }) => type)

async function rejected(host: VaultHost) {
  t.zoom.revokeGrant(host.email)
  await expireAccessToken(t, host)
  expect(told(await t.bot(host.joinUrl))).toEqual([404, 'reconnect_required'])
}

describe('a host', () => {
  test('that is connected, must reconnect, comes back and is deleted leaves one event for each', async () => {
    const host = await newVaultHost(t)
    expect(await typesOf(host.hostId)).toEqual(['host.connected'])
    await rejected(host)
    const [, event] = await eventsOf(host.hostId)
    expect(event).toEqual({
      type: 'host.reconnect_required',
      facts: {
        external_user_id: host.externalUserId,
        status: 'reconnect_required',
        status_reason: 'rejected_by_zoom',
      },
    })
    await t.connectHost(host.externalUserId, host.email)
    await t.api('DELETE', `/v1/hosts/${host.hostId}`)
    expect(await typesOf(host.hostId)).toEqual([
      'host.connected',
      'host.reconnect_required',
      'host.recovered',
      'host.connected',
      'host.disconnected',
    ])
  })

  test('whose trouble is refused again and again is told of once', async () => {
    const host = await newVaultHost(t)
    await rejected(host)
    for (let again = 0; again < 3; again++) await t.bot(host.joinUrl)
    expect(await typesOf(host.hostId)).toEqual(['host.connected', 'host.reconnect_required'])
  })

  test('whose admin disables the app is blocked, and recovers when a refresh goes through', async () => {
    const host = await newVaultHost(t)
    await expireAccessToken(t, host)
    refreshFault(t, host, { type: 'zoom_error', code: 4738 })
    expect(told(await t.bot(host.joinUrl))).toEqual([404, 'host_blocked'])
    t.zoom.clearFaults()
    await rows(t, `UPDATE grant_tokens SET refreshed_at = now() - interval '2 days' WHERE grant_id = $1`, [
      host.grantId,
    ])
    await rows(t, `UPDATE refresh_attempts SET started_at = now() - interval '2 days' WHERE grant_id = $1`, [
      host.grantId,
    ])
    await t.services.keepAlive.keepAlive(host.grantId)
    expect(await typesOf(host.hostId)).toEqual(['host.connected', 'host.blocked', 'host.recovered'])
  })

  test('of each tenant that shares the grant is told of, and after a reconnect only who recovers', async () => {
    const host = await newVaultHost(t)
    const other = await newTenant(t)
    const theirs = await t.connectHost(unique(), host.email, other.headers)
    await rejected(host)
    await t.connectHost(host.externalUserId, host.email)
    // the user took the grant away himself: the other tenant's host waits for a consent of its own
    expect(await typesOf(theirs.id)).toEqual(['host.connected', 'host.reconnect_required'])
    expect(await typesOf(host.hostId)).toContain('host.recovered')
  })

  test('is told of in the transaction that changes it: what is rolled back was never told', async () => {
    const host = await newVaultHost(t)
    const client = await t.admin.connect()
    await client.query('BEGIN')
    await client.query(
      `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'expired' WHERE grant_id = $1`,
      [host.grantId],
    )
    await client.query('ROLLBACK')
    client.release()
    expect(await typesOf(host.hostId)).toEqual(['host.connected'])
  })
})

describe('a host that is linked at the very moment its grant ends', () => {
  test('is told of a few minutes later, once', async () => {
    const host = await newVaultHost(t)
    const other = await newTenant(t)
    const hostId = crypto.randomUUID()
    const linking = await t.admin.connect()
    await linking.query('BEGIN')
    await linking.query(
      `INSERT INTO hosts (id, tenant_id, external_user_id, grant_id, consent_epoch) VALUES ($1, $2, 'user-1', $3, 0)`,
      [hostId, other.id, host.grantId],
    )
    await rejected(host)
    await linking.query('COMMIT')
    linking.release()
    expect(await typesOf(hostId)).toEqual(['host.connected'])
    const sweeps = [t.services.dispatch.tellMissedAcrossTenants(), t.services.dispatch.tellMissedAcrossTenants()]
    await Promise.all(sweeps)
    expect(await typesOf(hostId)).toEqual(['host.connected', 'host.reconnect_required'])
    expect(await typesOf(host.hostId)).toEqual(['host.connected', 'host.reconnect_required'])
    expect(await t.services.dispatch.tellMissedAcrossTenants()).toBe(0)
  })
})

describe('a pass', () => {
  test('that fails is told of once for each cause, however often the bot asks', async () => {
    const host = await newVaultHost(t)
    mintFault(t, host, { type: 'zoom_error', code: 3001 })
    for (let again = 0; again < 3; again++) await t.bot(host.joinUrl)
    await t.services.ledger.flush()
    const events = await eventsOf(host.passId)
    expect(events).toEqual([
      {
        type: 'pass.failed',
        facts: expect.objectContaining({
          kind: 'join',
          meeting_id: host.meeting,
          code: expect.any(String),
          zoom_code: 3001,
        }),
      },
    ])
  })

  test('that works is not', async () => {
    const host = await newVaultHost(t)
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
    await t.services.ledger.flush()
    expect(await eventsOf(host.passId)).toEqual([])
  })
})

test('a Zoom app that is refused is told of once over all replicas, and once when Zoom takes it again', async () => {
  const other = await secondReplica(t)
  const hosts = [await newVaultHost(t), await newVaultHost(t)]
  const [app] = await rows<{ id: string }>(t, 'SELECT zoom_app_id AS id FROM grants WHERE id = $1', [hosts[0]?.grantId])
  const id = String(app?.id)
  await rows(t, 'DELETE FROM webhook_events WHERE subject_id = $1', [id])
  t.zoom.addApp({ client_id: CLIENT_ID, disabled: true })
  for (const [index, replica] of [t, other].entries()) {
    await expireAccessToken(t, hosts[index] as VaultHost)
    expect(told(await replica.bot((hosts[index] as VaultHost).joinUrl))).toEqual([503, 'app_misconfigured'])
  }
  await expect.poll(() => typesOf(id)).toEqual(['app.paused'])
  t.zoom.addApp({ client_id: CLIENT_ID, disabled: false })
  // the probe of either replica is due after two seconds
  await expect.poll(async () => told(await t.bot((hosts[0] as VaultHost).joinUrl)), { timeout: 10_000 }).toEqual([200])
  await expect.poll(() => typesOf(id)).toEqual(['app.paused', 'app.resumed'])
  await other.app.close()
})

test('a Zoom app that Zoom takes again is resumed by any replica, also where the one that paused it is gone', async () => {
  const other = await secondReplica(t)
  const host = await newVaultHost(t)
  const [app] = await rows<{ id: string }>(t, 'SELECT zoom_app_id AS id FROM grants WHERE id = $1', [host.grantId])
  const id = String(app?.id)
  const renew = async () => {
    await expireAccessToken(t, host)
    expect(told(await other.bot(host.joinUrl))).toEqual([200])
  }
  await renew() // this replica has seen the app work
  await rows(t, 'UPDATE zoom_apps SET paused_at = now() WHERE id = $1', [id]) // by one that was killed since
  const isPaused = async () =>
    (await rows(t, 'SELECT FROM zoom_apps WHERE id = $1 AND paused_at IS NOT NULL', [id])).length > 0
  await expect.poll(() => renew().then(isPaused), { timeout: 15_000, interval: 1000 }).toBe(false)
  await other.app.close()
})

test('an event of more than 30 days ago is forgotten, a younger one is not', async () => {
  const host = await newVaultHost(t)
  await rejected(host)
  await rows(
    t,
    `UPDATE webhook_events SET created_at = now() - interval '31 days' WHERE subject_id = $1 AND type = 'host.connected'`,
    [host.hostId],
  )
  await t.services.dispatch.purgeAcrossTenants(new AbortController().signal)
  expect(await typesOf(host.hostId)).toEqual(['host.reconnect_required'])
})
