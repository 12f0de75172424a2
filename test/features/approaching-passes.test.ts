import { describe, expect, test } from 'vitest'
import { uuidv7 } from '../../src/lib/ids.ts'
import type { TestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { unique } from '../helpers/management.ts'
import { planOf } from '../helpers/plans.ts'
import {
  grantRow,
  newVaultHost,
  refreshCalls,
  refreshFault,
  secondReplica,
  told,
  twoReplicas,
  type VaultHost,
} from '../helpers/vault.ts'

const { t, other } = await twoReplicas()

const warm = (at: Pick<TestApp, 'services'> = t) =>
  at.services.passes.warmApproachingAcrossTenants(new AbortController().signal)

/** Its bot is announced for so many seconds from now, by the database's clock. */
const announce = (passId: string, inSeconds: number) =>
  rows(t, `UPDATE passes SET join_at = now() + $2 * interval '1 s' WHERE id = $1`, [passId, inSeconds])

/** Of an access token that was issued for an hour, so much is left. */
const leave = (seconds: number, grantId: string) =>
  rows(
    t,
    `UPDATE grant_tokens SET access_expires_at = now() + $2 * interval '1 s',
                             refreshed_at = now() + ($2 - 3600) * interval '1 s' WHERE grant_id = $1`,
    [grantId, seconds],
  )

/** A host whose access token ends too soon for the bot that comes in five minutes. */
async function approaching(inSeconds = 300, leftSeconds = 400): Promise<VaultHost> {
  const host = await newVaultHost(t)
  await leave(leftSeconds, host.grantId)
  await announce(host.passId, inSeconds)
  return host
}

describe('before a bot comes', () => {
  test('its host’s access token is renewed, and the mint waits for no refresh', async () => {
    const host = await approaching()
    await warm()
    expect(refreshCalls(t, host)).toBe(1)
    expect(await grantRow(t, host)).toMatchObject({ gen: 2, isIntentOpen: false, attempts: ['ok'] })
    refreshFault(t, host, { type: 'status', status: 500 }, { times: -1 })
    expect(told(await t.bot(host.joinUrl))).toEqual([200])
    expect(told(await other.bot(host.joinUrl))).toEqual([200])
    expect(refreshCalls(t, host)).toBe(1)
  })

  test.each([
    ['ten minutes ahead at the most', 660, 100, 0],
    ['up to two minutes after it should have come', -100, 100, 1],
    ['and not later', -140, 100, 0],
    ['only where the token would be near its end when the bot comes', 300, 800, 0],
  ])('%s', async (_when, inSeconds, leftSeconds, refreshes) => {
    const host = await approaching(inSeconds, leftSeconds)
    await warm()
    expect(refreshCalls(t, host)).toBe(refreshes)
  })

  test('nothing is renewed for a pass that is revoked or has expired', async () => {
    const [revoked, expired] = [await approaching(), await approaching()]
    await t.api('DELETE', `/v1/passes/${revoked.passId}`)
    await rows(t, 'UPDATE passes SET expires_at = now() WHERE id = $1', [expired.passId])
    await warm()
    expect([revoked, expired].map((host) => refreshCalls(t, host))).toEqual([0, 0])
  })

  test('nothing is asked of Zoom for a host that is blocked or must reconnect', async () => {
    const [blocked, lost] = [await approaching(), await approaching()]
    await rows(t, `UPDATE grants SET blocked_reason = 'admin_disabled' WHERE id = $1`, [blocked.grantId])
    const condemn = `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'expired' WHERE grant_id = $1`
    await rows(t, condemn, [lost.grantId])
    await warm()
    expect([blocked, lost].map((host) => refreshCalls(t, host))).toEqual([0, 0])
  })

  test('a refusal of one host keeps no other from being ready', async () => {
    const [first, second] = [await approaching(100), await approaching(200)]
    refreshFault(t, first, { type: 'status', status: 500 })
    await warm()
    expect([first, second].map((host) => refreshCalls(t, host))).toEqual([1, 1])
    expect(await grantRow(t, second)).toMatchObject({ gen: 2 })
  })
})

describe('one refresh and no more', () => {
  test('when two replicas find the same pass', async () => {
    const host = await approaching()
    await Promise.all([warm(), warm(other), warm(), warm(other)])
    await warm(other)
    expect(refreshCalls(t, host)).toBe(1)
  })

  test('for several passes, and for two tenants who share the grant', async () => {
    const host = await approaching()
    const b = await newTenant(t)
    const externalUserId = unique()
    await t.connectHost(externalUserId, host.email, b.headers)
    const named = { meeting: host.meeting, host: { external_user_id: externalUserId } }
    for (const inSeconds of [60, 500]) await announce((await t.createPass(named, b.headers)).id, inSeconds)
    await leave(400, host.grantId)
    await Promise.all([warm(), warm(other)])
    expect(refreshCalls(t, host)).toBe(1)
    expect(await grantRow(t, host)).toMatchObject({ status: 'connected' })
  })

  test('where Zoom issues tokens too short for any margin: a new one is new enough', async () => {
    const host = await approaching()
    t.zoom.setModes({ accessTokenLifeSeconds: 90 })
    await warm()
    await warm(other)
    await warm()
    expect(refreshCalls(t, host)).toBe(1)
    t.zoom.setModes({ accessTokenLifeSeconds: 3600 })
  })

  test('and none once the process stops', async () => {
    const host = await approaching()
    await t.services.passes.warmApproachingAcrossTenants(AbortSignal.abort())
    expect(refreshCalls(t, host)).toBe(0)
  })
})

describe('of a pass those are made ready who would mint for it', () => {
  const passFor = async (body: Record<string, unknown>) => {
    const { id } = await t.createPass(body)
    await announce(id, 300)
    await warm() // may share the flight that the creation has begun, which asks for less
  }
  async function idle() {
    const host = await newVaultHost(t)
    await leave(400, host.grantId)
    return host
  }
  const called = (...hosts: VaultHost[]) => hosts.map((host) => refreshCalls(t, host))
  const userOf = ({ externalUserId }: VaultHost) => ({ external_user_id: externalUserId })

  test('each user it may act on behalf of, beside the host', async () => {
    const [host, first, second] = [await idle(), await idle(), await idle()]
    await passFor({ meeting: host.meeting, on_behalf_of: [userOf(first), userOf(second)] })
    await warm()
    expect(called(host, first, second)).toEqual([1, 1, 1])
  })

  test('not the host where others stand for the only kind it is for', async () => {
    const [host, first] = [await idle(), await idle()]
    await passFor({ meeting: host.meeting, kinds: ['obf'], on_behalf_of: userOf(first) })
    await warm()
    expect(called(host, first)).toEqual([0, 1])
  })

  test('not those named for OBF where it is not for OBF', async () => {
    const [host, first] = [await idle(), await idle()]
    await passFor({ meeting: host.meeting, kinds: ['join'], on_behalf_of: userOf(first) })
    await warm()
    expect(called(host, first)).toEqual([1, 0])
  })

  test('the organization that a meeting is mapped to, and none of another tenant', async () => {
    const [admin, stranger] = [await idle(), await idle()]
    const b = await newTenant(t)
    const account = unique()
    const meeting = '300000001'
    const organization = await organizationOf(admin, account)
    await organizationOf(stranger, account, b.id)
    await t.api('PUT', `/v1/meetings/${meeting}`, { body: { organization_id: organization } })
    await passFor({ meeting })
    await warm()
    expect(called(admin, stranger)).toEqual([1, 0])
  })

  test('the host’s organization only where the host must reconnect', async () => {
    const [host, lost, admin] = [await idle(), await idle(), await idle()]
    const account = unique()
    await organizationOf(admin, account)
    await rows(t, 'UPDATE grants SET zoom_account_id = $1 WHERE id = ANY ($2)', [account, [host.grantId, lost.grantId]])
    await passFor({ meeting: host.meeting })
    await warm()
    expect(called(host, admin)).toEqual([1, 0])
    const condemn = `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'expired' WHERE grant_id = $1`
    await rows(t, condemn, [lost.grantId])
    await passFor({ meeting: lost.meeting })
    await warm()
    expect(called(lost, admin)).toEqual([0, 1])
  })
})

test('nothing is spent in a copy of the database', async () => {
  const copy = await secondReplica(t, { INSTALLATION_ID: 'staging' })
  const host = await approaching()
  await warm(copy)
  await copy.app.close()
  expect(refreshCalls(t, host)).toBe(0)
  expect(await grantRow(t, host)).toMatchObject({ gen: 1, attempts: null })
})

test('passes that lie far ahead cost nothing: they are found by the index of join_at', async () => {
  const host = await newVaultHost(t)
  await rows(
    t,
    `INSERT INTO passes (id, tenant_id, secret_hash, meeting_id, kinds, on_behalf_of, join_at, expires_at)
     SELECT gen_random_uuid(), tenant_id, sha256(n::text::bytea), meeting_id, kinds, on_behalf_of,
            now() + n * interval '1 hour', now() + interval '400 days'
       FROM passes, generate_series(1, 3000) AS n WHERE id = $1`,
    [host.passId],
  )
  await rows(t, 'ANALYZE passes')
  expect(await planOf(t.database, 'passes_approaching', [300])).toMatch(/Index Scan using passes_join_at_idx/)
})

/** Links a host's grant as the organization of an account, past the connect flow. */
async function organizationOf({ grantId }: VaultHost, zoomAccountId: string, tenantId?: string): Promise<string> {
  const id = uuidv7()
  await rows(
    t,
    `INSERT INTO organizations (id, tenant_id, external_user_id, zoom_account_id, grant_id, consent_epoch)
     SELECT $1, COALESCE($2, (SELECT id FROM tenants WHERE slug = 'default')), 'admin', $3, $4, 0`,
    [id, tenantId ?? null, zoomAccountId, grantId],
  )
  return id
}
