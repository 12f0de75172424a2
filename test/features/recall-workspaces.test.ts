import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RECALL_SECRET, startTestApp, type TestApp } from '../helpers/app.ts'
import { callerOf, newTenantWithKey, outcomeOf } from '../helpers/management.ts'

const DAY_MS = 24 * 3600 * 1000
const DEFAULT_TENANT = '00000000-0000-7000-8000-000000000001'
let t: TestApp
let nowMs = Date.now()
let call: ReturnType<typeof callerOf>

beforeAll(async () => {
  t = await startTestApp({ now: () => nowMs })
  call = callerOf(t)
})
afterAll(() => t.stop())

const newSecret = (bytes = 32) => `whsec_${randomBytes(bytes).toString('base64')}`
const keyOf = (secret: string) => secret.slice('whsec_'.length)

async function newWorkspace(body: Record<string, unknown> = {}, tenantId?: string) {
  const id = tenantId ?? (await newTenantWithKey(t)).id
  const secret = newSecret()
  const list = `/v1/tenants/${id}/recall-workspaces`
  const created = await call('POST', list, { region: 'us-west-2', verification_secrets: [secret], ...body })
  return { tenantId: id, secret, list, created, workspace: created.json(), url: `${list}/${created.json().id}` }
}
const serving = async (tenantId: string) => {
  const { source, secrets, isObserving } = await t.services.recallWorkspaces.secretsServing(tenantId)
  return { source, isObserving, keys: secrets.map(({ key }) => key.export().toString('base64')).sort() }
}

describe('a workspace', () => {
  test('is answered without its secrets, which are sealed at rest', async () => {
    const { created, workspace, url, secret } = await newWorkspace({ api_key: 'recall-api-key' })
    expect(created.statusCode).toBe(201)
    expect(workspace).toMatchObject({ region: 'us-west-2', signature_mode: 'require', has_api_key: true, warnings: [] })
    expect((await call('GET', url)).json()).toMatchObject({ id: workspace.id, secrets: workspace.secrets })
    for (const text of [created.body, t.log.join('')]) {
      expect(text).not.toContain(keyOf(secret))
      expect(text).not.toContain('recall-api-key')
    }
    const { rows } = await t.admin.query('SELECT * FROM recall_secrets WHERE workspace_id = $1', [workspace.id])
    expect(Buffer.from(rows[0].secret_ct).toString('latin1')).not.toContain(keyOf(secret))
  })

  test('takes the four regions of Recall and secrets of 24 to 64 bytes, one to ten of them', async () => {
    const { tenantId } = await newWorkspace()
    for (const region of ['us-east-1', 'us-west-2', 'eu-central-1', 'ap-northeast-1'])
      expect((await newWorkspace({ region }, tenantId)).created.statusCode).toBe(201)
    const ten = Array.from({ length: 10 }, (_, index) => newSecret(24 + index * 4))
    expect((await newWorkspace({ verification_secrets: ten })).workspace.secrets).toHaveLength(10)
    const bad = [
      { region: 'us-east-2' },
      { verification_secrets: [] },
      { verification_secrets: [...ten, newSecret()] },
      ...['whsec_', 'secret', newSecret(23), newSecret(65), newSecret().slice(6), `${newSecret()}=`].map((secret) => ({
        verification_secrets: [secret],
      })),
    ]
    for (const body of bad)
      expect(outcomeOf((await newWorkspace(body, tenantId)).created)).toEqual([400, 'invalid_request'])
  })

  test('of an unknown tenant, or named under another tenant, is 404', async () => {
    const { workspace } = await newWorkspace()
    const other = await newTenantWithKey(t)
    const foreign = `/v1/tenants/${other.id}/recall-workspaces/${workspace.id}`
    for (const method of ['GET', 'DELETE'] as const)
      expect(outcomeOf(await call(method, foreign))).toEqual([404, 'not_found'])
    expect(outcomeOf((await newWorkspace({}, crypto.randomUUID())).created)).toEqual([404, 'not_found'])
  })

  test('is gone after DELETE, and its secrets serve nobody any more', async () => {
    const { url, list, tenantId } = await newWorkspace()
    expect((await call('GET', list)).json().data).toHaveLength(1)
    expect((await call('DELETE', url)).statusCode).toBe(204)
    expect(outcomeOf(await call('DELETE', url))).toEqual([404, 'not_found'])
    expect(await serving(tenantId)).toEqual({ source: 'environment', isObserving: false, keys: [keyOf(RECALL_SECRET)] })
  })
})

describe('the secrets that serve a tenant', () => {
  test('are its own, of all its workspaces, and the environment’s only while it has none', async () => {
    const { tenantId, secret } = await newWorkspace()
    const second = await newWorkspace({}, tenantId)
    expect(await serving(tenantId)).toMatchObject({ source: 'tenant', keys: [secret, second.secret].map(keyOf).sort() })
  })

  test('are replaced as a set: kept ones keep their row, left out ones are gone at once', async () => {
    const { tenantId, secret, url, workspace } = await newWorkspace()
    const next = newSecret()
    const both = (await call('PATCH', url, { verification_secrets: [next, secret, next] })).json()
    expect(both.secrets.map(({ id }: { id: string }) => id)).toContain(workspace.secrets[0].id)
    expect((await serving(tenantId)).keys).toEqual([secret, next].map(keyOf).sort())
    await call('PATCH', url, { verification_secrets: [next] })
    expect((await serving(tenantId)).keys).toEqual([keyOf(next)])
  })

  test('stay as they are when something else changes', async () => {
    const { url, workspace } = await newWorkspace({ api_key: 'recall-api-key' })
    const changed = (await call('PATCH', url, { region: 'eu-central-1', api_key: null })).json()
    expect(changed).toMatchObject({ region: 'eu-central-1', has_api_key: false, secrets: workspace.secrets })
  })
})

describe('signature_mode observe', () => {
  test('ends by itself after 14 days, and asking again does not prolong it', async () => {
    const { tenantId, url, workspace } = await newWorkspace({ signature_mode: 'observe' })
    expect(Date.parse(workspace.observe_until) - nowMs).toBe(14 * DAY_MS)
    expect((await serving(tenantId)).isObserving).toBe(true)
    nowMs += DAY_MS
    expect((await call('PATCH', url, { signature_mode: 'observe' })).json().observe_until).toBe(workspace.observe_until)
    nowMs += 13 * DAY_MS + 1
    expect((await call('GET', url)).json()).toMatchObject({ signature_mode: 'require', observe_until: null })
  })

  test('is taken back at once by require', async () => {
    const { tenantId, url } = await newWorkspace({ signature_mode: 'observe' })
    await call('PATCH', url, { signature_mode: 'require' })
    expect((await serving(tenantId)).isObserving).toBe(false)
  })
})

describe('a secret that another tenant has too', () => {
  test('is taken with a warning, in the answer and once in the log', async () => {
    const { secret } = await newWorkspace()
    const warnings = () => t.log.filter((line) => line.includes('tenants share a Recall verification secret')).length
    const before = warnings()
    const { created, workspace } = await newWorkspace({ verification_secrets: [secret] })
    expect(created.statusCode).toBe(201)
    expect(workspace.warnings).toEqual([{ code: 'secret_shared', detail: expect.stringContaining('Another tenant') }])
    expect(warnings() - before).toBe(1)
  })
})

describe('with plain callback URLs', () => {
  test('no other tenant may hold a secret that serves the tenant default, whichever comes first', async () => {
    const plain = await startTestApp({ env: { PLAIN_CALLBACK_URLS: 'true' } })
    try {
      const callPlain = callerOf(plain)
      const post = async (tenantId: string, secret: string) =>
        await callPlain('POST', `/v1/tenants/${tenantId}/recall-workspaces`, {
          region: 'us-east-1',
          verification_secrets: [secret],
        })
      const other = await newTenantWithKey(plain)
      const [secret, theirs] = [newSecret(), newSecret()]
      // while default has no workspace of its own, the environment's secret serves it
      expect(outcomeOf(await post(other.id, RECALL_SECRET))).toEqual([409, 'conflict'])
      const own = await post(DEFAULT_TENANT, secret)
      expect(own.statusCode).toBe(201)
      expect(outcomeOf(await post(other.id, secret))).toEqual([409, 'conflict'])
      expect((await post(other.id, theirs)).statusCode).toBe(201)
      expect(outcomeOf(await post(DEFAULT_TENANT, theirs))).toEqual([409, 'conflict'])
      expect((await post(other.id, RECALL_SECRET)).statusCode).toBe(201)
      // without it the environment's secret would serve default again, which the other tenant has by now
      const ownUrl = `/v1/tenants/${DEFAULT_TENANT}/recall-workspaces/${own.json().id}`
      expect(outcomeOf(await callPlain('DELETE', ownUrl))).toEqual([409, 'conflict'])
      expect(await plain.services.recallWorkspaces.findPlainConflicts()).toBe(0)
    } finally {
      await plain.stop()
    }
  })
})
