import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { OPERATOR_KEY, startTestApp, type TestApp } from '../helpers/app.ts'
import { newKey, newTenantWithKey, outcomeOf, refusalOf } from '../helpers/management.ts'
import { type ApiRoute, apiRoutes, pathWith } from '../helpers/routes.ts'

const SCOPES = ['connect', 'hosts:read', 'hosts:write', 'meetings:read', 'meetings:write', 'passes:write']
const ALL_SCOPES = [...SCOPES, 'mints:read', 'bots:write', 'tokens:read', 'hosts:import', 'audit:read']
const DEFAULT_TENANT = '00000000-0000-7000-8000-000000000001'
let t: TestApp
let routes: ApiRoute[]

beforeAll(async () => {
  // every look at the service's clock is 20 ms later: a fast machine must not run into the limit of failures a second
  let clockMs = Date.now()
  t = await startTestApp({
    now: () => {
      clockMs += 20
      return clockMs
    },
  })
  routes = apiRoutes(t)
})
afterAll(() => t.stop())

const anyPath = ({ path }: ApiRoute) => {
  const id = crypto.randomUUID()
  return pathWith(path, { id, key_id: id, workspace_id: id, delivery_id: id, meeting_id: '111111111' })
}
const request = (route: ApiRoute, headers: Record<string, string | string[]>) =>
  t.app.inject({ method: route.method, url: anyPath(route), headers, ...(route.hasBody ? { payload: {} } : {}) })
const failing = async (check: (route: ApiRoute) => Promise<boolean>, of = routes) => {
  const failures: string[] = []
  for (const route of of) if (!(await check(route))) failures.push(`${route.method} ${route.path}`)
  return failures
}

describe('every route of the management API', () => {
  test('is there at all', () => {
    expect(routes.length).toBeGreaterThan(30)
  })

  test('answers one and the same 401 to whoever presents no living key, wherever else the key is put', async () => {
    const bodies = new Set<string>()
    const attempts: Record<string, string | string[]>[] = [
      {},
      { authorization: '' },
      { authorization: 'Bearer ' },
      { authorization: `Basic ${OPERATOR_KEY}` },
      { authorization: `Bearer ${OPERATOR_KEY}x` },
      { authorization: `Bearer ${OPERATOR_KEY.toUpperCase()}` },
      { authorization: `Bearer lk_${'0'.repeat(104)}` },
      { authorization: [`Bearer ${OPERATOR_KEY}`, `Bearer ${OPERATOR_KEY}`] },
      { 'x-api-key': OPERATOR_KEY },
      { cookie: `authorization=Bearer ${OPERATOR_KEY}` },
    ]
    const failures = await failing(async (route) => {
      const answers = await Promise.all(attempts.slice(0, 3).map((headers) => request(route, headers)))
      for (const answer of answers) bodies.add(JSON.stringify(refusalOf(answer)))
      return answers.every(({ statusCode }) => statusCode === 401)
    })
    expect(failures).toEqual([])
    const [route] = routes as [ApiRoute]
    for (const headers of attempts) bodies.add(JSON.stringify(refusalOf(await request(route, headers))))
    expect(bodies.size).toBe(1)
  })

  test('tells every cache to keep nothing of it, whether it takes the request or refuses it', async () => {
    const said = async (route: ApiRoute, headers: Record<string, string>) =>
      (await request(route, headers)).headers['cache-control']
    const failures = await failing(async (route) => {
      const taken = await said(route, { authorization: `Bearer ${OPERATOR_KEY}` })
      return taken === 'no-store' && (await said(route, {})) === 'no-store'
    })
    expect(failures).toEqual([])
  })

  test('of the operator refuses a tenant’s key, whatever its scopes', async () => {
    const { key } = await newTenantWithKey(t, ALL_SCOPES)
    const ofOperator = routes.filter(({ caller }) => caller === 'operator')
    const check = async (route: ApiRoute) =>
      outcomeOf(await request(route, { authorization: `Bearer ${key}` })).join() === '403,forbidden'
    expect([ofOperator.length > 15, await failing(check, ofOperator)]).toEqual([true, []])
  })

  test('of a tenant refuses a key that has every scope but the one it needs, and takes one that has just that', async () => {
    const { id } = await newTenantWithKey(t)
    const ofTenant = routes.filter(({ caller }) => caller !== 'operator')
    const failures = await failing(async (route) => {
      const without = await newKey(
        t,
        id,
        ALL_SCOPES.filter((scope) => scope !== route.caller),
      )
      const alone = await newKey(t, id, [route.caller])
      const refused = await request(route, { authorization: `Bearer ${without}` })
      const taken = await request(route, { authorization: `bearer ${alone}` })
      return refused.json().code === 'forbidden' && ![401, 403].includes(taken.statusCode) && taken.statusCode < 500
    }, ofTenant)
    expect([ofTenant.length > 15, failures]).toEqual([true, []])
  })

  test('answers 405 to HEAD and to every method it does not have, before it asks who calls', async () => {
    const failures = await failing(async ({ path, ...route }) => {
      const url = anyPath({ path, ...route })
      const methods = ['HEAD', 'OPTIONS', 'TRACE', 'QUERY', 'PROPFIND', 'M-SEARCH'] as InjectOptions['method'][]
      const answers = await Promise.all(methods.map((method = 'GET') => t.app.inject({ method, url })))
      return answers.every(
        ({ statusCode, headers }) => statusCode === 405 && String(headers.allow).includes(route.method),
      )
    })
    expect(failures).toEqual([])
  })
})

describe('whom a key acts for', () => {
  test('the operator’s key acts for the tenant of Latchkey-Tenant, by id or slug, or for default', async () => {
    const tenant = (await t.api('POST', '/v1/tenants', { body: { name: 'Acme', slug: 'acme-corp' } })).json()
    const pass = async (headers: Record<string, string>) =>
      (await t.api('POST', '/v1/passes', { body: { meeting: '111111111' }, headers })).json().id
    const owner = async (id: string) =>
      (await t.admin.query('SELECT tenant_id FROM passes WHERE id = $1', [id])).rows[0].tenant_id
    expect(await owner(await pass({ 'latchkey-tenant': tenant.id }))).toBe(tenant.id)
    expect(await owner(await pass({ 'latchkey-tenant': 'acme-corp' }))).toBe(tenant.id)
    expect(await owner(await pass({}))).toBe(DEFAULT_TENANT)
    for (const named of [crypto.randomUUID(), 'nobody'])
      expect(outcomeOf(await t.api('GET', '/v1/hosts', { headers: { 'latchkey-tenant': named } }))).toEqual([
        404,
        'not_found',
      ])
    for (const named of ['a b', '../x', 'ä', ['acme-corp', 'acme-corp'] as never])
      expect(outcomeOf(await t.api('GET', '/v1/hosts', { headers: { 'latchkey-tenant': named } }))).toEqual([
        400,
        'invalid_request',
      ])
  })

  test('a tenant’s key may name its own tenant and no other, known or not', async () => {
    const [a, b] = [await newTenantWithKey(t), await newTenantWithKey(t)]
    const as = (named: string) => t.api('GET', '/v1/hosts', { key: a.key, headers: { 'latchkey-tenant': named } })
    expect((await as(a.id)).statusCode).toBe(200)
    const refusals = [await as(b.id), await as(crypto.randomUUID()), await as('default')].map(refusalOf)
    expect(new Set(refusals.map((refusal) => JSON.stringify(refusal))).size).toBe(1)
    expect(refusals[0]?.[0]).toBe(403)
  })

  test('two keys of a tenant work side by side, and a revoked or expired one is refused from the next request on', async () => {
    const { id, key } = await newTenantWithKey(t)
    const body = { name: 'short', expires_at: new Date(Date.now() + 3600_000).toISOString() }
    const second = (await t.api('POST', `/v1/tenants/${id}/api-keys`, { body })).json()
    const status = async (which: string) => (await t.api('GET', '/v1/hosts', { key: which })).statusCode
    expect([await status(key), await status(second.key)]).toEqual([200, 200])
    // an hour: on a slow machine the service's clock, which counts looks here, falls behind the database's
    await t.admin.query("UPDATE api_keys SET expires_at = now() - interval '1 h' WHERE id = $1", [second.id])
    const keys = (await t.api('GET', `/v1/tenants/${id}/api-keys`)).json().data
    const first = keys.find((each: { id: string }) => each.id !== second.id)
    await t.api('DELETE', `/v1/tenants/${id}/api-keys/${first.id}`)
    expect([await status(key), await status(second.key)]).toEqual([401, 401])
  })
})
