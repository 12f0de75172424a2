import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildApp } from '../../src/app.ts'
import { buildTestApp, OPERATOR_KEY, startTestApp, type TestApp } from '../helpers/app.ts'
import { linesOf } from '../helpers/audit.ts'
import { rows } from '../helpers/connect.ts'
import { newTenantWithKey, outcomeOf, seedHost, unique } from '../helpers/management.ts'
import { apiRoutes, BODIES, pathWith } from '../helpers/routes.ts'
import { newVaultHost } from '../helpers/vault.ts'

let t: TestApp

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())

const PASS = { meeting: '85996249517' }
const keyIdOf = async (tenantId: string) =>
  (await t.api('GET', `/v1/tenants/${tenantId}/api-keys`)).json().data[0].id as string

describe('every route of the management API', () => {
  test('that may change something leaves one line, with who, whence, what about and what came of it; GET leaves none', async () => {
    const failures: string[] = []
    const [known, wrong] = [apiRoutes(t), (text: string) => void failures.push(text)]
    for (const { method, path, hasBody, operationId } of known) {
      const name = `${method} ${path}`
      const ids = { id: crypto.randomUUID(), key_id: crypto.randomUUID(), workspace_id: crypto.randomUUID() }
      const values: Record<string, string> = { ...ids, delivery_id: crypto.randomUUID(), meeting_id: '111111111' }
      const before = (await linesOf(t)).length
      const answer = await t.api(method, pathWith(path, values), { body: hasBody ? (BODIES[name] ?? {}) : undefined })
      const [line, ...more] = (await linesOf(t)).slice(before).filter(({ action }) => !action.includes('.'))
      if (method === 'GET') {
        if (line) wrong(`${name} left a line`)
        continue
      }
      const subjects = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter = '']) => String(values[parameter]))
      const made = answer.statusCode === 201 ? [String(answer.json().id)] : []
      const outcome = answer.statusCode < 400 ? 'done' : answer.json().code
      const expected = {
        action: operationId,
        actor: 'operator',
        address: '127.0.0.1',
        subject_ids: [...subjects, ...made],
        outcome,
        status: answer.statusCode,
      }
      if (answer.statusCode === 400 || !line || more.length > 0) wrong(`${name}: ${answer.statusCode}, ${more.length}`)
      else if (!Object.entries(expected).every(([key, value]) => `${line[key as 'action']}` === `${value}`))
        wrong(`${name}: ${JSON.stringify(line)} is not ${JSON.stringify(expected)}`)
      else if (answer.statusCode >= 400 && line.request_id !== answer.json().request_id) wrong(`${name}: request id`)
    }
    expect([known.filter(({ method }) => method !== 'GET').length > 25, failures]).toEqual([true, []])
  })

  test('names the tenant it acts for, the key that asked, and whence, and no other address than that', async () => {
    const tenant = await newTenantWithKey(t)
    const headers = { authorization: `Bearer ${tenant.key}`, 'x-forwarded-for': '203.0.113.9' }
    const asked = { method: 'POST', url: '/v1/passes', headers, payload: PASS, remoteAddress: '198.51.100.7' } as const
    const made = (await t.app.inject(asked)).json()
    const [line] = await linesOf(t, `action = 'createPass' AND tenant_id = $1`, [tenant.id])
    const actor = `key:${await keyIdOf(tenant.id)}`
    expect(line).toMatchObject({ actor, address: '198.51.100.7', subject_ids: [made.id], outcome: 'done', status: 201 })
  })

  test('of the operator that is about one tenant is in that tenant’s trail, also when that tenant goes', async () => {
    const { id } = await newTenantWithKey(t)
    await t.api('PATCH', `/v1/tenants/${id}`, { body: { name: 'Other' } })
    await t.api('DELETE', `/v1/tenants/${id}`)
    const lines = await linesOf(t, 'tenant_id = $1', [id])
    expect(lines.map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
      'createApiKey done',
      'updateTenant done',
      'deleteTenant done',
    ])
  })

  test('that gives a token out has its line before the token leaves', async () => {
    const host = await newVaultHost(t)
    await t.api('POST', `/v1/hosts/${host.hostId}/access-token`, { body: {} })
    await t.api('POST', `/v1/hosts/${host.hostId}/release`)
    const lines = await linesOf(t, 'subject_ids @> ARRAY[$1]', [host.hostId])
    expect(lines.map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
      'lendAccessToken done',
      'releaseHost done',
      'host.released done',
    ])
  })
})

describe('an Idempotency-Key', () => {
  test('repeated is a replay and not a second action; one for another body is a refusal', async () => {
    const { id, key } = await newTenantWithKey(t)
    const headers = { 'idempotency-key': unique() }
    for (const body of [PASS, PASS, { ...PASS, metadata: { a: '1' } }])
      await t.api('POST', '/v1/passes', { key, body, headers })
    const lines = await linesOf(t, `tenant_id = $1 AND action = 'createPass'`, [id])
    expect(lines.map(({ outcome, status }) => `${status} ${outcome}`)).toEqual([
      '201 done',
      '201 replayed',
      '409 conflict',
    ])
    expect(lines[1]?.subject_ids).toEqual(lines[0]?.subject_ids)
  })
})

describe('without its line', () => {
  test('nothing is done: 503, no row, no key taken, no token given out; all goes on once the trail can be written', async () => {
    const own = await buildTestApp()
    const host = await newVaultHost(own)
    const headers = { 'idempotency-key': unique() }
    const post = () => own.api('POST', '/v1/passes', { body: PASS, headers })
    const passes = async () => (await rows(own, 'SELECT FROM passes')).length
    const before = await passes()
    await linesOf(own)
    await rows(own, 'ALTER TABLE audit_events ADD CONSTRAINT full_up CHECK (false) NOT VALID')
    const answers = [
      await post(),
      await own.api('POST', `/v1/hosts/${host.hostId}/access-token`, { body: {} }),
      await own.api('POST', `/v1/hosts/${host.hostId}/release`),
      await own.api('DELETE', `/v1/hosts/${host.hostId}`),
    ]
    expect(answers.map(outcomeOf)).toEqual(answers.map(() => [503, 'store_unavailable']))
    expect(answers.every(({ headers }) => headers['retry-after'])).toBe(true)
    expect([await passes(), (await rows(own, 'SELECT FROM idempotency_keys')).length]).toEqual([before, 0])
    expect((await own.api('GET', `/v1/hosts/${host.hostId}`)).json().status).toBe('connected')
    await rows(own, 'ALTER TABLE audit_events DROP CONSTRAINT full_up')
    expect((await post()).statusCode).toBe(201)
    expect(await passes()).toBe(before + 1)
  })

  test('whose outcome the dying process never wrote, an action reads unknown', async () => {
    const { id } = await newTenantWithKey(t)
    const line = { tenantId: id, actor: 'operator', subjectIds: [], requestId: unique(), address: '127.0.0.1' }
    await linesOf(t)
    await t.services.requestTrail.open({ ...line, action: 'createPass' })
    const { data } = (await t.api('GET', '/v1/audit?outcome=unknown', { headers: { 'latchkey-tenant': id } })).json()
    expect(data).toEqual([expect.objectContaining({ action: 'createPass', outcome: 'unknown', status: null })])
  })
})

describe('an outcome', () => {
  test('that still waits as the process stops is written on its way out', async () => {
    const replica = await buildApp({ env: { ...t.settings, LOG_LEVEL: 'fatal' } })
    const { id } = await newTenantWithKey(t)
    const headers = { authorization: `Bearer ${OPERATOR_KEY}`, 'latchkey-tenant': id }
    await replica.app.inject({ method: 'POST', url: '/v1/passes', headers, payload: PASS })
    await replica.app.close()
    const lines = await rows(t, `SELECT outcome FROM audit_events WHERE tenant_id = $1 AND action = 'createPass'`, [id])
    expect(lines).toEqual([{ outcome: 'done' }])
  })

  test('whose write was not confirmed and is sent again changes nothing, and costs no other one its own', async () => {
    const open = () =>
      t.services.requestTrail.open({
        tenantId: null,
        actor: 'operator',
        action: 'x',
        subjectIds: ['a'],
        requestId: null,
        address: null,
      })
    const [first, second] = [await open(), await open()]
    const settled = (id: string) => ({ id, outcome: 'done', status: 201, madeId: 'b' })
    await t.services.audit.settle([settled(first)])
    await t.services.audit.settle([settled(first), settled(second)])
    const lines = await linesOf(t, 'id = ANY ($1)', [[first, second]])
    expect(lines.map(({ outcome, subject_ids }) => [outcome, subject_ids])).toEqual([
      ['done', ['a', 'b']],
      ['done', ['a', 'b']],
    ])
  })
})

test('a line holds ids and nothing that a request or its answer says: no name, address of a person, link, secret or token', async () => {
  const tenant = await newTenantWithKey(t)
  const marks: string[] = []
  const mark = (text = '') => {
    const made = `${text}canary${unique()}`
    marks.push(made)
    return made
  }
  const operators = { headers: { 'latchkey-tenant': tenant.id } }
  await t.api('PATCH', `/v1/tenants/${tenant.id}`, { body: { name: mark() } })
  const made = await t.api('POST', `/v1/tenants/${tenant.id}/api-keys`, { body: { name: mark() } })
  const app = { client_id: mark(), client_secret: mark(), tenant_id: tenant.id }
  await t.api('POST', '/v1/zoom-apps', { body: app })
  const session = { external_user_id: mark(), expected_email: `${mark()}@example.com` }
  const link = await t.api('POST', '/v1/connect-sessions', { ...operators, body: session })
  const hook = await tenant.call('POST', '/v1/webhook-endpoints', { url: `https://${mark('')}.example.com/${mark()}` })
  await seedHost(t, tenant.id, mark())
  const pass = await tenant.call('POST', '/v1/passes', { ...PASS, metadata: { who: mark() } })
  await t.api('POST', '/v1/passes', { body: { [mark()]: mark() } })
  await t.api('POST', `/v1/hosts?x=${mark()}`, { key: mark('lk_') })
  marks.push(made.json().key, link.json().url, hook.json().secret, pass.json().join_token_url, tenant.key)
  const trail = JSON.stringify(await linesOf(t))
  expect(trail).toContain(pass.json().id)
  expect(marks.filter((each) => trail.includes(each))).toEqual([])
})
