import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RECALL_SECRET, startTestApp, type TestApp } from '../helpers/app.ts'
import {
  type GuardedTenant,
  ledgerOf,
  newGuardedTenant,
  newRecallSecret,
  newWorkspace,
  operate,
} from '../helpers/guard.ts'
import { newVaultHost, type Replica, secondReplica, told, type VaultHost } from '../helpers/vault.ts'

let t: TestApp
let other: Replica
let host: VaultHost

beforeAll(async () => {
  t = await startTestApp()
  other = await secondReplica(t)
  host = await newVaultHost(t)
})
afterAll(async () => {
  await other.app.close()
  await t.stop()
})

const REFUSED = [401, 'unauthenticated']
/** What both replicas say to a request signed with these secrets. */
async function everywhere({ joinUrl }: Pick<GuardedTenant, 'joinUrl'>, ...secrets: string[]) {
  const answers = [await t.bot(joinUrl, { secrets }), await other.bot(joinUrl, { secrets })].map(told)
  expect(answers[0]).toEqual(answers[1])
  return answers[0]
}
async function tenantWithSecret() {
  const [tenant, secret] = [await newGuardedTenant(t, host), newRecallSecret()]
  const url = await newWorkspace(t, tenant.id, [secret])
  expect(await everywhere(tenant, secret)).toEqual([200]) // from here on both replicas know it
  return {
    tenant,
    secret,
    url,
    change: (secrets: string[]) => operate(t, 'PATCH', url, { verification_secrets: secrets }),
  }
}

describe('a verification secret', () => {
  test('that was added works at the next request, beside the former one, in replicas that knew only that', async () => {
    const { tenant, secret, change } = await tenantWithSecret()
    const next = newRecallSecret()
    expect(await everywhere(tenant, next)).toEqual(REFUSED)
    await change([next, secret])
    expect(await everywhere(tenant, next)).toEqual([200])
    expect(await everywhere(tenant, secret)).toEqual([200])
    expect(await everywhere(tenant, next, secret)).toEqual([200])
  })

  test('that was removed fails at the next request, in replicas that still know it', async () => {
    const { tenant, secret, change } = await tenantWithSecret()
    const next = newRecallSecret()
    await change([next])
    expect(await everywhere(tenant, secret)).toEqual(REFUSED)
    expect(await everywhere(tenant, next)).toEqual([200])
  })

  test('that was replaced in one step does not fail a request that Recall signs with both', async () => {
    const { tenant, secret, change } = await tenantWithSecret()
    const next = newRecallSecret()
    await change([next])
    expect(await everywhere(tenant, secret, next)).toEqual([200])
  })

  test('is one of up to ten, and every one of them serves', async () => {
    const { tenant, change } = await tenantWithSecret()
    const secrets = Array.from({ length: 10 }, newRecallSecret)
    await change(secrets)
    for (const secret of secrets) expect(told(await t.bot(tenant.joinUrl, { secrets: [secret] }))).toEqual([200])
  })

  test('of another tenant’s workspace is worth nothing here', async () => {
    const [mine, theirs] = [await tenantWithSecret(), await tenantWithSecret()]
    expect(await everywhere(mine.tenant, theirs.secret)).toEqual(REFUSED)
  })
})

describe('the operator’s secret', () => {
  test('serves a tenant until it has a workspace of its own, and again once that is gone', async () => {
    const tenant = await newGuardedTenant(t, host)
    expect(await everywhere(tenant, RECALL_SECRET)).toEqual([200])
    const secret = newRecallSecret()
    const url = await newWorkspace(t, tenant.id, [secret])
    expect(await everywhere(tenant, RECALL_SECRET)).toEqual(REFUSED)
    expect(await everywhere(tenant, secret)).toEqual([200])
    await operate(t, 'DELETE', url)
    expect(await everywhere(tenant, secret)).toEqual(REFUSED)
    expect(await everywhere(tenant, RECALL_SECRET)).toEqual([200])
  })

  test('is several during a rotation; a replica without any lets nobody in and says why', async () => {
    const tenant = await newGuardedTenant(t, host)
    const next = newRecallSecret()
    const rotating = await secondReplica(t, { RECALL_VERIFICATION_SECRETS: `${next},${RECALL_SECRET}` })
    const without = await secondReplica(t, { RECALL_VERIFICATION_SECRETS: '' })
    for (const secret of [next, RECALL_SECRET])
      expect(told(await rotating.bot(tenant.joinUrl, { secrets: [secret] }))).toEqual([200])
    expect(told(await without.bot(tenant.joinUrl))).toEqual(REFUSED)
    expect((await ledgerOf(t, tenant.passId)).at(-1)).toMatchObject({ reason: 'no_secret_configured' })
    await Promise.all([rotating.app.close(), without.app.close()])
  })
})

describe('what stops minting at the next request, in a replica that has just minted', () => {
  test.each<[string, (tenant: GuardedTenant) => Promise<unknown>, unknown[], string | null]>([
    [
      'a pass that was revoked',
      ({ passId, headers }) => t.api('DELETE', `/v1/passes/${passId}`, { headers }),
      REFUSED,
      'pass_revoked',
    ],
    ['a tenant that was deleted', ({ id }) => operate(t, 'DELETE', `/v1/tenants/${id}`), REFUSED, null],
    [
      'a host that was disconnected',
      async ({ headers }) => {
        const [{ id }] = (await t.api('GET', '/v1/hosts', { headers })).json().data
        await t.api('DELETE', `/v1/hosts/${id}`, { headers })
      },
      [404, 'host_not_connected'],
      null,
    ],
  ])('%s', async (_, stop, answer, reason) => {
    const tenant = await newGuardedTenant(t, host)
    expect(await everywhere(tenant, RECALL_SECRET)).toEqual([200])
    const before = t.zoom.minted.length
    await stop(tenant)
    expect(await everywhere(tenant, RECALL_SECRET)).toEqual(answer)
    expect(t.zoom.minted.length).toBe(before)
    if (reason) expect((await ledgerOf(t, tenant.passId)).at(-1)).toMatchObject({ outcome: 'unauthenticated', reason })
  })
})
