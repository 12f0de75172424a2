import { describe, expect, test } from 'vitest'
import { uuidv7 } from '../../src/lib/ids.ts'
import type { TestApp } from '../helpers/app.ts'
import { consent, revocations, rows } from '../helpers/connect.ts'
import { unique } from '../helpers/management.ts'
import {
  expireAccessToken,
  grantRow,
  liveRefreshToken,
  newVaultHost,
  refreshFault,
  secondReplica,
  told,
  type VaultHost,
  vaultApp,
} from '../helpers/vault.ts'

const t = await vaultApp()

const sweep = (at: Pick<TestApp, 'services'> = t, signal = new AbortController().signal) =>
  at.services.grantUpkeep.releaseUnlinkedAcrossTenants(signal)
const purge = () => t.services.grantUpkeep.purgeAttemptsAcrossTenants(new AbortController().signal)

/** As if its last consent and its last refresh had been so long ago. */
async function age(grantId: string, minutes: number) {
  const past = `now() - $2 * interval '1 minute'`
  await rows(t, `UPDATE grants SET connected_at = ${past} WHERE id = $1`, [grantId, minutes])
  await rows(t, `UPDATE grant_tokens SET refreshed_at = ${past} WHERE grant_id = $1`, [grantId, minutes])
}
/** What a crash leaves behind that came between the end of the host and the release of its grant. */
async function orphan(minutes = 16): Promise<VaultHost> {
  const host = await newVaultHost(t)
  await rows(t, 'DELETE FROM hosts WHERE id = $1', [host.hostId])
  await age(host.grantId, minutes)
  return host
}
async function kept({ grantId }: VaultHost) {
  const [row] = await rows(
    t,
    `SELECT status, refresh_ct IS NOT NULL OR access_ct IS NOT NULL AS tokens, email FROM grant_tokens
       JOIN grants ON id = grant_id WHERE grant_id = $1`,
    [grantId],
  )
  return row
}
const ERASED = { status: 'disconnected', tokens: false, email: null }

describe('a grant that nobody links', () => {
  test('is revoked at Zoom, and its tokens are gone', async () => {
    const host = await orphan()
    const before = revocations(t).length
    await sweep()
    expect(await kept(host)).toEqual(ERASED)
    expect(revocations(t).length).toBe(before + 1)
    expect(liveRefreshToken(t, host)).toBeNull()
    await sweep()
    expect(revocations(t).length).toBe(before + 1)
  })

  test('is not taken from a user who connects again while the clean-up waits for Zoom', async () => {
    const host = await orphan()
    await expireAccessToken(t, host)
    const refresh = refreshFault(t, host, { type: 'hold' }, { effect: 'before' })
    const swept = sweep()
    await refresh.hit()
    const me = t.zoom.setFault({ match: { path: '/v2/users/me' }, action: { type: 'hold' } })
    const link = await t.connectLink({ external_user_id: host.externalUserId })
    const connected = t.follow(link, host.email)
    await me.hit()
    refresh.release()
    await swept
    me.release()
    expect((await connected).statusCode).toBe(200)
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
  })

  test('is let go by one of two replicas that find it', async () => {
    const other = await secondReplica(t)
    const host = await orphan()
    const before = revocations(t).length
    await Promise.all([sweep(), sweep(other)])
    await other.app.close()
    expect(await kept(host)).toEqual(ERASED)
    expect(revocations(t).length).toBe(before + 1)
  })

  test('loses its tokens too where Zoom takes none of them any more', async () => {
    const host = await orphan()
    const condemn = `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'expired',
                                             access_expires_at = now() WHERE grant_id = $1`
    await rows(t, condemn, [host.grantId])
    await sweep()
    expect(await kept(host)).toEqual(ERASED)
  })

  test('is left alone while it may be about to be linked: 15 minutes from its consent or its last refresh', async () => {
    const fresh = await orphan(14)
    const [consented, refreshed] = [await orphan(), await orphan()]
    await rows(t, 'UPDATE grants SET connected_at = now() WHERE id = $1', [consented.grantId])
    await rows(t, 'UPDATE grant_tokens SET refreshed_at = now() WHERE grant_id = $1', [refreshed.grantId])
    await sweep()
    for (const host of [fresh, consented, refreshed])
      expect(await kept(host)).toMatchObject({ status: 'connected', tokens: true })
  })

  test('is not taken from a flow that has stored the pair and is still asking Zoom who it is', async () => {
    const host = await orphan()
    const link = await t.connectLink({ external_user_id: host.externalUserId })
    const { authorize, cookie } = await t.open(link)
    const { callback } = await consent(t, authorize, host.email)
    const me = t.zoom.setFault({ match: { path: '/v2/users/me' }, action: { type: 'hold' } })
    const connected = t.app.inject({ url: callback, headers: { cookie } })
    await me.hit()
    expect(await grantRow(t, host)).toMatchObject({ gen: 2 })
    await sweep()
    me.release()
    expect((await connected).statusCode).toBe(200)
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
  })

  test('stays in a copy of the database, which could otherwise revoke what the original lives on', async () => {
    const copy = await secondReplica(t, { INSTALLATION_ID: 'staging' })
    const host = await orphan()
    await sweep(copy)
    await copy.app.close()
    expect(await kept(host)).toMatchObject({ status: 'connected', tokens: true })
  })

  test('stays when the process is stopping, for the next one', async () => {
    const host = await orphan()
    await sweep(t, AbortSignal.abort())
    expect(await kept(host)).toMatchObject({ status: 'connected', tokens: true })
  })

  test('whose tokens cannot be opened keeps no other from being let go, and an operator reads of it', async () => {
    const [broken, host] = [await orphan(), await orphan()]
    await rows(t, `UPDATE grant_tokens SET access_ct = '\\x00', refresh_ct = '\\x00' WHERE grant_id = $1`, [
      broken.grantId,
    ])
    await expect(sweep()).rejects.toThrow()
    expect(await kept(host)).toEqual(ERASED)
    await rows(t, 'DELETE FROM grants WHERE id = $1', [broken.grantId])
  })
})

test.each(['hosts', 'organizations'])(
  'a grant that one of the %s links is never touched, however long it has been idle',
  async (table) => {
    const host = await newVaultHost(t)
    if (table === 'organizations') {
      await rows(
        t,
        `INSERT INTO organizations (id, tenant_id, external_user_id, zoom_account_id, grant_id, consent_epoch)
       SELECT $1, tenant_id, 'admin', $2, grant_id, 0 FROM hosts WHERE id = $3`,
        [uuidv7(), unique(), host.hostId],
      )
      await rows(t, 'DELETE FROM hosts WHERE id = $1', [host.hostId])
    }
    await age(host.grantId, 60 * 24 * 80)
    await sweep()
    expect(await kept(host)).toMatchObject({ status: 'connected', tokens: true, email: host.email })
    expect(liveRefreshToken(t, host)).not.toBeNull()
  },
)

test('operators see how many grants there are in each state, and how long a refresh has been in doubt', async () => {
  const [lost, doubtful] = [await newVaultHost(t), await newVaultHost(t)]
  await rows(
    t,
    `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'superseded' WHERE grant_id = $1`,
    [lost.grantId],
  )
  const open = `UPDATE grant_tokens SET intent_gen = gen, intent_at = now() - interval '100 s' WHERE grant_id = $1`
  await rows(t, open, [doubtful.grantId])
  await t.services.grantUpkeep.countAcrossTenants()
  const text = await t.metrics.registry.metrics()
  expect(text).toContain('latchkey_grants{status="reconnect_required",reason="superseded"} 1\n')
  expect(Number(/^latchkey_oldest_open_intent_seconds (.+)$/m.exec(text)?.[1])).toBeGreaterThanOrEqual(100)
})

describe('the history of refreshes', () => {
  /** One attempt on each generation, so many days ago. */
  async function history({ grantId }: VaultHost, gens: number[], days: number) {
    for (const gen of gens)
      await rows(
        t,
        `INSERT INTO refresh_attempts (id, grant_id, gen, lease_seq, recovering, started_at, outcome)
         VALUES ($1, $2, $3, $4, false, now() - $5 * interval '1 day', 'ok')`,
        [uuidv7(), grantId, gen, days * 1000 + gen, days],
      )
  }
  const left = async ({ grantId }: VaultHost) =>
    (
      await rows<{ gen: number; days: number }>(
        t,
        `SELECT gen::int AS gen, EXTRACT(DAY FROM now() - started_at)::int AS days FROM refresh_attempts
          WHERE grant_id = $1 ORDER BY days, gen`,
        [grantId],
      )
    ).map(({ gen, days }) => `${days}d gen ${gen}`)

  test('goes after 30 days, but never that of the current generation and of the one before', async () => {
    const [busy, idle] = [await newVaultHost(t), await newVaultHost(t)]
    await rows(t, 'UPDATE grant_tokens SET gen = 9 WHERE grant_id = ANY ($1)', [[busy.grantId, idle.grantId]])
    await history(busy, [6, 7], 31)
    await history(busy, [7, 8], 29)
    await history(idle, [6, 7, 8, 9], 80)
    await purge()
    expect(await left(busy)).toEqual(['29d gen 7', '29d gen 8'])
    expect(await left(idle)).toEqual(['80d gen 8', '80d gen 9'])
  })

  test('goes in full where there is more of it than one statement takes', async () => {
    const host = await newVaultHost(t)
    await rows(t, 'UPDATE grant_tokens SET gen = 5000 WHERE grant_id = $1', [host.grantId])
    await rows(
      t,
      `INSERT INTO refresh_attempts (id, grant_id, gen, lease_seq, recovering, started_at, outcome)
       SELECT gen_random_uuid(), $1, n, n, false, now() - interval '40 days', 'ok' FROM generate_series(1, 2500) AS n`,
      [host.grantId],
    )
    await purge()
    expect(await left(host)).toEqual([])
  })
})
