import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { ledgerOf, newGuardedTenant, newRecallSecret, newWorkspace, operate, unsigned } from '../helpers/guard.ts'
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

async function observing() {
  const [tenant, secret] = [await newGuardedTenant(t, host), newRecallSecret()]
  const url = await newWorkspace(t, tenant.id, [secret], { signature_mode: 'observe' })
  return { tenant, secret, url }
}
const unsignedEverywhere = async (joinUrl: string) => [
  told(await unsigned(t.app, joinUrl)),
  told(await unsigned(other.app, joinUrl)),
]
const counted = async () => {
  const text = await t.metrics.registry.metrics()
  return Number(/latchkey_unsigned_requests_total\{kind="join"\} (\d+)/.exec(text)?.[1] ?? 0)
}

describe('signature_mode observe', () => {
  test('lets an unsigned request with a valid pass through: logged, counted, and shown in its mint', async () => {
    const { tenant } = await observing()
    const [before, lines] = [await counted(), t.log.length]
    expect(told(await unsigned(t.app, tenant.joinUrl))).toEqual([200])
    const said = t.log.slice(lines).map((line) => JSON.parse(line))
    const warning = { level: 'warn', pass_id: tenant.passId, message: expect.stringContaining('unsigned') }
    expect(said).toContainEqual(expect.objectContaining(warning))
    expect((await counted()) - before).toBe(1)
    const [mint] = (await t.api('GET', `/v1/mints?pass_id=${tenant.passId}`, { headers: tenant.headers })).json().data
    expect(mint).toMatchObject({ outcome: 'unknown' })
    expect(await ledgerOf(t, tenant.passId)).toEqual([{ kind: 'join', outcome: 'minted', reason: 'signature_missing' }])
  })

  test('shows a signed request as any other, and binds its id', async () => {
    const { tenant, secret } = await observing()
    const id = `msg_${tenant.passId}`
    expect(told(await t.bot(tenant.joinUrl, { secrets: [secret], id }))).toEqual([200])
    expect(await ledgerOf(t, tenant.passId)).toEqual([{ kind: 'join', outcome: 'minted', reason: null }])
    expect(await rows(t, 'SELECT 1 FROM seen_webhook_ids WHERE webhook_id = $1', [id])).toHaveLength(1)
  })

  test.each<[string, (id: string) => Record<string, string>]>([
    ['an id alone', (id) => ({ 'webhook-id': id })],
    ['a signature alone', () => ({ 'webhook-signature': 'v1,AAAA' })],
    ['an empty signature', () => ({ 'webhook-signature': '' })],
    ['a header of the older family', () => ({ 'svix-timestamp': '1800000000' })],
  ])('refuses a request with part of a signature: %s', async (_, headersOf) => {
    const { tenant } = await observing()
    const answer = await unsigned(t.app, tenant.joinUrl, headersOf('msg_part'))
    expect(told(answer)).toEqual(REFUSED)
  })

  test('refuses a wrong or an old signature, an unknown pass and a revoked one', async () => {
    const { tenant, secret } = await observing()
    const old = { 'webhook-timestamp': String(Math.floor(Date.now() / 1000) - 301) }
    const wrong = [
      await t.bot(tenant.joinUrl, { secrets: [newRecallSecret()] }),
      await t.bot(tenant.joinUrl, { secrets: [secret], headers: old }),
      await unsigned(t.app, tenant.joinUrl.replace(/pass=.{5}/, 'pass=AAAAA')),
    ]
    expect(wrong.map(told)).toEqual(Array(3).fill(REFUSED))
    await t.api('DELETE', `/v1/passes/${tenant.passId}`, { headers: tenant.headers })
    expect(told(await unsigned(t.app, tenant.joinUrl))).toEqual(REFUSED)
  })

  test('is in force, and taken back, at the next request of replicas that knew it otherwise', async () => {
    const { tenant, url } = await observing()
    expect(await unsignedEverywhere(tenant.joinUrl)).toEqual([[200], [200]])
    await operate(t, 'PATCH', url, { signature_mode: 'require' })
    expect(await unsignedEverywhere(tenant.joinUrl)).toEqual([REFUSED, REFUSED])
    expect((await ledgerOf(t, tenant.passId)).at(-1)).toMatchObject({ reason: 'signature_missing' })
    await operate(t, 'PATCH', url, { signature_mode: 'observe' })
    expect(await unsignedEverywhere(tenant.joinUrl)).toEqual([[200], [200]])
  })

  test('ends by itself, by the database’s clock, after 14 days', async () => {
    const { tenant, secret, url } = await observing()
    expect(await unsignedEverywhere(tenant.joinUrl)).toEqual([[200], [200]])
    const move = `UPDATE recall_workspaces SET observe_until = observe_until - $2 * interval '1 s' WHERE id = $1`
    const workspaceId = url.split('/').at(-1)
    await rows(t, move, [workspaceId, 14 * 86_400 - 60])
    expect(await unsignedEverywhere(tenant.joinUrl)).toEqual([[200], [200]])
    await rows(t, move, [workspaceId, 61])
    expect(await unsignedEverywhere(tenant.joinUrl)).toEqual([REFUSED, REFUSED])
    expect(told(await t.bot(tenant.joinUrl, { secrets: [secret] }))).toEqual([200])
  })

  test('of one tenant opens nothing for another', async () => {
    await observing()
    const neighbour = await newGuardedTenant(t, host)
    expect(await unsignedEverywhere(neighbour.joinUrl)).toEqual([REFUSED, REFUSED])
  })
})
