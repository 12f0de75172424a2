import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_TENANT_ID } from '../../src/default-tenant.ts'
import { RECALL_SECRET, startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { newRecallSecret, newWorkspace, operate, unsigned } from '../helpers/guard.ts'
import { unique } from '../helpers/management.ts'
import { newVaultHost, type Replica, secondReplica, told, type VaultHost } from '../helpers/vault.ts'

let t: TestApp
let plain: Replica
let host: VaultHost

beforeAll(async () => {
  t = await startTestApp()
  plain = await secondReplica(t, { PLAIN_CALLBACK_URLS: 'true' })
  host = await newVaultHost(t)
})
afterAll(async () => {
  await plain.app.close()
  await t.stop()
})

const REFUSED = [401, 'unauthenticated']
const urlOf = (kind: string, meeting: string) => `/zoom/${kind}-token?meeting_id=${meeting}`
const newId = () => `msg_${unique()}`
const startPlain = () => secondReplica(t, { PLAIN_CALLBACK_URLS: 'true' })

describe('a callback URL without a pass', () => {
  test('is answered for join and OBF with a mint of the tenant default, and leaves its ledger row', async () => {
    const answers = [
      await plain.bot(urlOf('join', host.meeting)),
      await plain.bot(urlOf('obf', `${host.meeting}&utm_source=x`)),
    ]
    expect(answers.map(told)).toEqual([[200], [200]])
    await plain.services.ledger.flush()
    const ledger = await rows(
      t,
      `SELECT kind, outcome, pass_id, host_id FROM mints WHERE meeting_id = $1 ORDER BY id`,
      [host.meeting],
    )
    const common = { outcome: 'minted', pass_id: null, host_id: host.hostId }
    expect(ledger).toEqual([
      { kind: 'join', ...common },
      { kind: 'obf', ...common },
    ])
  })

  test('is 401 for ZAK, without a meeting, with a wrong signature or none, and everywhere it is not switched on', async () => {
    const url = urlOf('join', host.meeting)
    const answers = [
      await plain.bot(urlOf('zak', host.meeting)),
      await plain.bot('/zoom/join-token'),
      await plain.bot(url, { secrets: [newRecallSecret()] }),
      await unsigned(plain.app, url),
      await t.bot(url),
    ]
    expect(answers.map(told)).toEqual(Array(5).fill(REFUSED))
    const bodies = answers.map((answer) => ({ ...answer.json(), request_id: '' }))
    for (const body of bodies) expect(body).toEqual(bodies[0])
  })

  test('with a pass as well is the pass’s: another meeting beside it is refused', async () => {
    const theirs = await newVaultHost(t)
    expect(told(await plain.bot(`${host.joinUrl}&meeting_id=${theirs.meeting}`))).toEqual([403, 'pass_mismatch'])
    expect(told(await plain.bot(`/zoom/join-token?pass=x&meeting_id=${host.meeting}`))).toEqual(REFUSED)
  })

  test('binds a request id to its meeting: another meeting, or a pass, is refused with it', async () => {
    const [theirs, id] = [await newVaultHost(t), newId()]
    expect(told(await plain.bot(urlOf('join', host.meeting), { id }))).toEqual([200])
    expect(told(await plain.bot(urlOf('obf', host.meeting), { id }))).toEqual([200])
    expect(told(await plain.bot(urlOf('join', theirs.meeting), { id }))).toEqual([403, 'pass_mismatch'])
    expect(told(await plain.bot(host.joinUrl, { id }))).toEqual([403, 'pass_mismatch'])
  })

  test('of a meeting that only another tenant has mapped is not mapped here', async () => {
    const { headers } = await newTenant(t)
    const meeting = '987654321'
    await t.api('PUT', `/v1/meetings/${meeting}`, { body: { external_user_id: 'theirs' }, headers })
    expect(told(await plain.bot(urlOf('join', meeting)))).toEqual([404, 'meeting_not_mapped'])
  })

  test('never goes without a signature, also where the workspace observes', async () => {
    const secret = newRecallSecret()
    const url = await newWorkspace(t, DEFAULT_TENANT_ID, [secret], { signature_mode: 'observe' })
    expect(told(await unsigned(plain.app, host.joinUrl))).toEqual([200])
    expect(told(await unsigned(plain.app, urlOf('join', host.meeting)))).toEqual(REFUSED)
    expect(told(await plain.bot(urlOf('join', host.meeting)))).toEqual(REFUSED)
    expect(told(await plain.bot(urlOf('join', host.meeting), { secrets: [secret] }))).toEqual([200])
    await operate(t, 'DELETE', url)
    expect(told(await plain.bot(urlOf('join', host.meeting)))).toEqual([200])
  })
})

describe('PLAIN_CALLBACK_URLS=true', () => {
  test('refuses to start where another tenant uses a secret that serves the tenant default, and says what to do', async () => {
    const { id } = await newTenant(t)
    const url = await newWorkspace(t, id, [RECALL_SECRET])
    await expect(startPlain()).rejects.toThrow(/PLAIN_CALLBACK_URLS.*another tenant/)
    await operate(t, 'DELETE', url)
    const started = await startPlain()
    await started.app.close()
  })

  test('takes no workspace of another tenant with such a secret', async () => {
    const { id } = await newTenant(t)
    const refused = await plain.app.inject({
      method: 'POST',
      url: `/v1/tenants/${id}/recall-workspaces`,
      headers: { authorization: `Bearer ${t.settings.OPERATOR_API_KEY}` },
      payload: { region: 'us-east-1', verification_secrets: [RECALL_SECRET] },
    })
    expect([refused.statusCode, refused.json().code]).toEqual([409, 'conflict'])
  })
})
