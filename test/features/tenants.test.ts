import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { callerOf, newTenantWithKey, outcomeOf, unique } from '../helpers/management.ts'

let t: TestApp
let call: ReturnType<typeof callerOf>

beforeAll(async () => {
  t = await startTestApp()
  call = callerOf(t)
})
afterAll(() => t.stop())

describe('a tenant', () => {
  test('is made with a slug of its name, shown, changed and deleted: 201, 200, 204, then 404', async () => {
    const created = await call('POST', '/v1/tenants', { name: 'Zoë & Söhne' })
    expect(created.statusCode).toBe(201)
    const tenant = created.json()
    expect(tenant).toMatchObject({ name: 'Zoë & Söhne', slug: expect.stringMatching(/^zo-?e-s-?o-?hne-[0-9a-f]{8}$/) })
    const url = `/v1/tenants/${tenant.id}`
    expect((await call('GET', url)).json()).toEqual(tenant)
    const change = { return_url_origins: ['https://app.example.com'] }
    expect((await call('PATCH', url, change)).json()).toEqual({ ...tenant, ...change })
    expect((await call('PATCH', url, { name: 'New' })).json()).toEqual({ ...tenant, ...change, name: 'New' })
    expect((await call('DELETE', url)).statusCode).toBe(204)
    for (const [method, body] of [['GET'], ['PATCH', {}], ['DELETE']] as const)
      expect(outcomeOf(await call(method, url, body))).toEqual([404, 'not_found'])
  })

  test('named default always exists', async () => {
    const { data } = (await call('GET', '/v1/tenants?limit=200')).json()
    const { id } = data.find(({ slug }: { slug: string }) => slug === 'default')
    expect(outcomeOf(await call('DELETE', `/v1/tenants/${id}`))).toEqual([409, 'conflict'])
  })

  test('has a slug of its own, which no other takes, also when ten ask at once', async () => {
    const slug = `s-${unique()}`
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => call('POST', '/v1/tenants', { name: 'x', slug })),
    )
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, ...Array(9).fill(409)])
    for (const bad of ['-a', 'A', 'a b', 'a'.repeat(64), '', 'a_b'])
      expect(outcomeOf(await call('POST', '/v1/tenants', { name: 'x', slug: bad }))).toEqual([400, 'invalid_request'])
  })

  test('takes only origins as return_url_origins', async () => {
    for (const origin of [
      'https://a.example/',
      'a.example',
      'https://a.example/x',
      'https://u@a.example',
      'javascript:1',
    ])
      expect(outcomeOf(await call('POST', '/v1/tenants', { name: 'x', return_url_origins: [origin] }))).toEqual([
        400,
        'invalid_request',
      ])
  })
})

describe('an API key', () => {
  test('is shown once, starts with lk_ and is stored as a hash', async () => {
    const { id } = await newTenantWithKey(t)
    const created = (await call('POST', `/v1/tenants/${id}/api-keys`, { name: 'backend' })).json()
    expect(created.key).toMatch(/^lk_[0-9a-f]{104}$/)
    expect(created).toMatchObject({ name: 'backend', prefix: created.key.slice(0, 15), expires_at: null })
    expect(created.scopes).toContain('passes:write')
    expect(created.scopes).not.toContain('tokens:read')
    const list = await call('GET', `/v1/tenants/${id}/api-keys`)
    const { key, ...shown } = created
    expect(list.json().data[0]).toEqual(shown)
    expect(list.body).not.toContain(key.slice(35))
    const { rows } = await t.admin.query('SELECT secret_hash FROM api_keys WHERE id = $1', [created.id])
    expect(Buffer.from(rows[0].secret_hash).toString('hex')).not.toContain(key.slice(35, 99))
    expect(t.log.join('')).not.toContain(key)
  })

  test('is refused for an unknown tenant, an unknown scope or an end in the past', async () => {
    const { id } = await newTenantWithKey(t)
    const create = async (tenantId: string, body: Record<string, unknown>) =>
      outcomeOf(await call('POST', `/v1/tenants/${tenantId}/api-keys`, { name: 'x', ...body }))
    expect(await create(crypto.randomUUID(), {})).toEqual([404, 'not_found'])
    for (const body of [{ scopes: [] }, { scopes: ['all'] }, { expires_at: '2020-01-01T00:00:00Z' }, { name: '' }])
      expect(await create(id, body)).toEqual([400, 'invalid_request'])
  })

  test('is revoked by DELETE: 204, then 404', async () => {
    const { id } = await newTenantWithKey(t)
    const [{ id: keyId }] = (await call('GET', `/v1/tenants/${id}/api-keys`)).json().data
    const url = `/v1/tenants/${id}/api-keys/${keyId}`
    expect((await call('DELETE', url)).statusCode).toBe(204)
    expect(outcomeOf(await call('DELETE', url))).toEqual([404, 'not_found'])
  })
})
