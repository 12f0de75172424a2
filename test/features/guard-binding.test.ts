import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { ledgerOf, newGuardedTenant, newRecallSecret, newWorkspace } from '../helpers/guard.ts'
import { unique } from '../helpers/management.ts'
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

const MISMATCH = [403, 'pass_mismatch']
const newId = () => `msg_${unique()}`
const newPass = () => t.createPass({ meeting: host.meeting, host: { external_user_id: host.externalUserId } })

describe('a request id', () => {
  test('serves the pass it first came with again, on either URL and in either replica, each time with a new token', async () => {
    const [pass, id] = [await newPass(), newId()]
    const answers = [
      await t.bot(pass.join_token_url, { id }),
      await other.bot(pass.join_token_url, { id }),
      await other.bot(pass.obf_token_url, { id }),
      await t.bot(pass.join_token_url, { id }),
    ]
    expect(answers.map(told)).toEqual(Array(4).fill([200]))
    expect(new Set(answers.map(({ body }) => body)).size).toBe(4)
  })

  test('bound in one replica is refused with another pass in the other, which the mint of that pass shows', async () => {
    const [pass, stolen, id] = [await newPass(), await newPass(), newId()]
    expect(told(await t.bot(pass.join_token_url, { id }))).toEqual([200])
    const before = t.zoom.minted.length
    expect(told(await other.bot(stolen.join_token_url, { id }))).toEqual(MISMATCH)
    expect(t.zoom.minted.length).toBe(before)
    await other.services.ledger.flush()
    expect(await ledgerOf(t, stolen.id)).toMatchObject([{ outcome: 'pass_mismatch', reason: 'webhook_id_reused' }])
  })

  test('that comes with two passes at the same moment, in two replicas, serves exactly one of them', async () => {
    for (let round = 0; round < 5; round++) {
      const [first, second, id] = [await newPass(), await newPass(), newId()]
      const answers = await Promise.all([
        t.bot(first.join_token_url, { id }),
        other.bot(second.join_token_url, { id }),
        t.bot(first.join_token_url, { id }),
        other.bot(second.join_token_url, { id }),
      ])
      const [a, b, c, d] = answers.map(told)
      expect([a, b]).toEqual([c, d])
      expect([a, b].map((answer) => answer?.[0]).sort()).toEqual([200, 403])
    }
  })

  test('of a tenant that shares the workspace is refused with another tenant’s pass', async () => {
    const [mine, theirs, id] = [await newPass(), await newGuardedTenant(t, host), newId()]
    expect(told(await t.bot(mine.join_token_url, { id }))).toEqual([200])
    expect(told(await other.bot(theirs.joinUrl, { id }))).toEqual(MISMATCH)
  })

  test('of a workspace that does not serve the pass’s tenant is 401, and binds nothing', async () => {
    const tenant = await newGuardedTenant(t, host)
    const secret = newRecallSecret()
    await newWorkspace(t, tenant.id, [secret])
    const id = newId()
    expect(told(await t.bot(tenant.joinUrl, { id }))).toEqual([401, 'unauthenticated'])
    expect(told(await other.bot(tenant.joinUrl, { id, secrets: [secret] }))).toEqual([200])
  })

  test('is bound only once its signature held and its pass was good', async () => {
    const [pass, revoked, id] = [await newPass(), await newPass(), newId()]
    await t.api('DELETE', `/v1/passes/${revoked.id}`)
    await t.bot(revoked.join_token_url, { id })
    await t.bot(pass.join_token_url, { id, secrets: [newRecallSecret()] })
    expect(await rows(t, 'SELECT 1 FROM seen_webhook_ids WHERE webhook_id = $1', [id])).toEqual([])
    const another = await newPass()
    expect(told(await other.bot(another.join_token_url, { id }))).toEqual([200])
  })

  test('stays bound for twice the tolerance and a minute, and is then forgotten', async () => {
    const [pass, id] = [await newPass(), newId()]
    await t.bot(pass.join_token_url, { id })
    const seen = () => rows(t, 'SELECT 1 FROM seen_webhook_ids WHERE webhook_id = $1', [id])
    const age = (seconds: number) =>
      rows(t, `UPDATE seen_webhook_ids SET seen_at = now() - $2 * interval '1 s' WHERE webhook_id = $1`, [id, seconds])
    await age(655)
    await t.services.ledger.purgeSeenAcrossTenants(660)
    expect(await seen()).toHaveLength(1)
    await age(661)
    await t.services.ledger.purgeSeenAcrossTenants(660)
    expect(await seen()).toHaveLength(0)
  })
})
