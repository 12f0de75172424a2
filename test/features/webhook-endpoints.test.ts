import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { EVENT_TYPES } from '../../src/features/notifications/event-types.ts'
import { createOutboxStore } from '../../src/features/notifications/outbox-store.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { newKey, newTenantWithKey, outcomeOf } from '../helpers/management.ts'

const URL_OF_MINE = 'https://hooks.example.com/latchkey'
const SECRET = /^whsec_[A-Za-z0-9+/]{43}=$/
const HOUR_MS = 3600_000
let t: TestApp
let nowMs = Date.now()
let tenant: Awaited<ReturnType<typeof newTenantWithKey>>

beforeAll(async () => {
  t = await startTestApp({ now: () => nowMs })
})
afterAll(() => t.stop())
beforeEach(async () => {
  tenant = await newTenantWithKey(t)
})

type Call = (typeof tenant)['call']

async function newEndpoint(
  body: Record<string, unknown> = {},
  call: Call = tenant.call,
  base = '/v1/webhook-endpoints',
) {
  const created = await call('POST', base, { url: URL_OF_MINE, ...body })
  const endpoint = created.json() as Record<string, unknown> & { id: string; secret: string }
  return { created, endpoint, url: `${base}/${endpoint.id}` }
}
const base64Of = (secret: string) => secret.replace('whsec_', '')
/** What signs for an endpoint now, newest first, as receivers are given it. */
const signing = async (id: string) =>
  (await t.services.webhookEndpoints.secretsOf(id))?.secrets.map((key) => `whsec_${key.toString('base64')}`)

describe('a new endpoint', () => {
  test('is answered with its secret, once, and shown without it ever after', async () => {
    const { created, endpoint, url } = await newEndpoint({ events: ['host.connected'], description: 'CRM' })
    expect(created.statusCode).toBe(201)
    const { secret, ...shown } = endpoint
    expect(secret).toMatch(SECRET)
    expect(shown).toEqual({
      id: expect.any(String),
      url: URL_OF_MINE,
      description: 'CRM',
      events: ['host.connected'],
      is_enabled: true,
      disabled_reason: null,
      previous_secret_until: null,
      created_at: expect.any(String),
      updated_at: expect.any(String),
    })
    expect((await tenant.call('GET', url)).json()).toEqual(shown)
    expect((await tenant.call('GET', '/v1/webhook-endpoints')).json()).toEqual({ data: [shown], next_cursor: null })
    expect(await signing(endpoint.id)).toEqual([secret])
  })

  test('keeps its secret sealed: neither log nor database has it in clear', async () => {
    const { endpoint } = await newEndpoint()
    const { rows } = await t.admin.query('SELECT * FROM webhook_endpoints WHERE id = $1', [endpoint.id])
    const sealed = Buffer.from(rows[0].secret_ct)
    expect(sealed.includes(base64Of(endpoint.secret))).toBe(false)
    expect(sealed.includes(Buffer.from(base64Of(endpoint.secret), 'base64'))).toBe(false)
    expect(t.log.join('')).not.toContain(base64Of(endpoint.secret))
  })

  test('takes a secret that the receiver brought, of 24 to 64 bytes and no other', async () => {
    const secretOf = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`
    for (const bytes of [24, 64]) {
      const { endpoint } = await newEndpoint({ secret: secretOf(bytes) })
      expect(await signing(endpoint.id)).toEqual([secretOf(bytes)])
    }
    for (const secret of [secretOf(23), secretOf(65), base64Of(secretOf(32)), 'whsec_!', '', `${secretOf(32)} `]) {
      const { created } = await newEndpoint({ secret })
      expect(outcomeOf(created), secret).toEqual([400, 'invalid_request'])
      if (secret.length > 1) expect(created.body).not.toContain(secret)
    }
  })

  test('is refused with fields or types of events that do not exist', async () => {
    const bodies = [{ events: ['host.exploded'] }, { events: 'host.connected' }, { tenant_id: tenant.id }, { url: 7 }]
    for (const body of [...bodies, { description: '' }, { is_enabled: false }, { events: Array(9).fill('app.paused') }])
      expect(outcomeOf((await newEndpoint(body)).created), JSON.stringify(body)).toEqual([400, 'invalid_request'])
    expect(outcomeOf(await tenant.call('POST', '/v1/webhook-endpoints', {}))).toEqual([400, 'invalid_request'])
  })

  test('is one of at most 20 of a tenant, also when many are made at once', async () => {
    const made = await Promise.all(Array.from({ length: 24 }, () => newEndpoint()))
    const outcomes = made.map(({ created }) => created.statusCode)
    expect(outcomes.filter((status) => status === 201)).toHaveLength(20)
    expect(outcomes.filter((status) => status === 409)).toHaveLength(4)
    const other = await newTenantWithKey(t)
    expect((await newEndpoint({}, other.call)).created.statusCode).toBe(201)
    await tenant.call('DELETE', made.find(({ created }) => created.statusCode === 201)?.url ?? '')
    expect((await newEndpoint()).created.statusCode).toBe(201)
  })

  test('is made once under one Idempotency-Key, and the repeated answer has the secret too', async () => {
    const post = () =>
      t.api('POST', '/v1/webhook-endpoints', {
        key: tenant.key,
        body: { url: URL_OF_MINE },
        headers: { 'idempotency-key': 'once' },
      })
    const [first, again] = [await post(), await post()]
    expect(again.json()).toEqual(first.json())
    expect((await tenant.call('GET', '/v1/webhook-endpoints')).json().data).toHaveLength(1)
  })
})

describe('changing an endpoint', () => {
  test('changes what is named and leaves the rest, the secret too', async () => {
    const { endpoint, url } = await newEndpoint({ events: ['app.paused'], description: 'CRM' })
    const moved = await tenant.call('PATCH', url, { url: 'https://other.example.com/', events: [], is_enabled: false })
    expect(moved.json()).toMatchObject({
      url: 'https://other.example.com/',
      events: [],
      description: 'CRM',
      is_enabled: false,
      disabled_reason: 'by_owner',
    })
    expect((await tenant.call('PATCH', url, { description: null })).json()).toMatchObject({ description: null })
    expect((await tenant.call('PATCH', url, {})).statusCode).toBe(200)
    expect(await signing(endpoint.id)).toEqual([endpoint.secret])
    for (const body of [{ secret: endpoint.secret }, { tenant_id: null }, { is_enabled: 'yes' }, { url: null }])
      expect(outcomeOf(await tenant.call('PATCH', url, body))).toEqual([400, 'invalid_request'])
  })

  test('to enabled again forgets why it was switched off', async () => {
    const { endpoint, url } = await newEndpoint()
    await t.services.webhookEndpoints.disable(endpoint.id, 'gone')
    expect((await tenant.call('GET', url)).json()).toMatchObject({ is_enabled: false, disabled_reason: 'gone' })
    const enabled = (await tenant.call('PATCH', url, { is_enabled: true })).json()
    expect(enabled).toMatchObject({ is_enabled: true, disabled_reason: null })
  })

  test('by deletion answers 204, then 404, and nothing is signed for it any more', async () => {
    const { endpoint, url } = await newEndpoint()
    expect((await tenant.call('DELETE', url)).statusCode).toBe(204)
    for (const method of ['GET', 'DELETE'] as const)
      expect(outcomeOf(await tenant.call(method, url))).toEqual([404, 'not_found'])
    expect(outcomeOf(await tenant.call('POST', `${url}/rotate-secret`))).toEqual([404, 'not_found'])
    expect(await t.services.webhookEndpoints.secretsOf(endpoint.id)).toBeNull()
  })
})

describe('rotating the secret', () => {
  test('answers a new one, and the former signs too for 24 hours', async () => {
    const { endpoint, url } = await newEndpoint()
    const rotated = await tenant.call('POST', `${url}/rotate-secret`)
    expect(rotated.statusCode).toBe(200)
    const { secret, previous_secret_until: until } = rotated.json()
    expect(secret).toMatch(SECRET)
    expect(secret).not.toBe(endpoint.secret)
    expect(Date.parse(until)).toBe(nowMs + 24 * HOUR_MS)
    expect(await signing(endpoint.id)).toEqual([secret, endpoint.secret])
    nowMs += 24 * HOUR_MS - 1
    expect(await signing(endpoint.id)).toEqual([secret, endpoint.secret])
    nowMs += 1
    expect(await signing(endpoint.id)).toEqual([secret])
    expect((await tenant.call('GET', url)).json().previous_secret_until).toBeNull()
  })

  test('twice ends the first one at once: so is one that leaked', async () => {
    const { endpoint, url } = await newEndpoint()
    const rotate = async () => (await tenant.call('POST', `${url}/rotate-secret`)).json().secret as string
    const [second, third] = [await rotate(), await rotate()]
    expect(await signing(endpoint.id)).toEqual([third, second])
  })

  test('at the same time from several sides leaves two secrets that both were answered', async () => {
    const { endpoint, url } = await newEndpoint()
    const answers = await Promise.all([1, 2, 3].map(() => tenant.call('POST', `${url}/rotate-secret`)))
    const answered = answers.filter(({ statusCode }) => statusCode === 200).map((answer) => answer.json().secret)
    const living = (await signing(endpoint.id)) ?? []
    expect(living).toHaveLength(2)
    expect(answered).toEqual(expect.arrayContaining(living))
  })

  test('leaves nothing of an older row to put back', async () => {
    const { endpoint, url } = await newEndpoint()
    const read = 'SELECT secret_ct FROM webhook_endpoints WHERE id = $1'
    const { rows } = await t.admin.query(read, [endpoint.id])
    await tenant.call('POST', `${url}/rotate-secret`)
    const write = 'UPDATE webhook_endpoints SET secret_ct = $2 WHERE id = $1'
    await t.admin.query(write, [endpoint.id, rows[0].secret_ct])
    await expect(t.services.webhookEndpoints.secretsOf(endpoint.id)).rejects.toThrow('does not open')
  })
})

describe('who may', () => {
  test('no key is 401, a key without the scope 403, on every route', async () => {
    const { url } = await newEndpoint()
    const reader = await newKey(t, tenant.id, ['hosts:read'])
    const stranger = await newKey(t, tenant.id, ['meetings:read'])
    const routes = [
      ['GET', '/v1/webhook-endpoints', undefined],
      ['GET', url, undefined],
      ['POST', '/v1/webhook-endpoints', { url: URL_OF_MINE }],
      ['PATCH', url, {}],
      ['DELETE', url, undefined],
      ['POST', `${url}/rotate-secret`, undefined],
    ] as const
    for (const [method, path, body] of routes) {
      const by = async (key: string) => (await t.api(method, path, { key, ...(body ? { body } : {}) })).statusCode
      expect(await by('lk_nobody'), path).toBe(401)
      expect(await by(stranger), path).toBe(403)
      if (method !== 'GET') expect(await by(reader), path).toBe(403)
      else expect(await by(reader), path).toBe(200)
    }
  })

  test('the operator’s endpoints take the operator key alone, and are no tenant’s', async () => {
    const operator: Call = (method, url, body) => t.api(method, url, body === undefined ? {} : { body })
    const base = '/v1/operator/webhook-endpoints'
    const { created, endpoint, url } = await newEndpoint({ events: ['app.paused'] }, operator, base)
    expect(created.statusCode).toBe(201)
    expect((await operator('GET', base)).json().data.map(({ id }: { id: string }) => id)).toEqual([endpoint.id])
    expect((await operator('PATCH', url, { is_enabled: false })).json()).toMatchObject({ is_enabled: false })
    expect((await operator('POST', `${url}/rotate-secret`)).json().secret).toMatch(SECRET)
    for (const path of [base, url]) expect(outcomeOf(await tenant.call('GET', path))).toEqual([403, 'forbidden'])
    // not as a tenant's, whichever tenant the operator acts for
    const asTenants = `/v1/webhook-endpoints/${endpoint.id}`
    for (const call of [operator, tenant.call])
      expect(outcomeOf(await call('GET', asTenants))).toEqual([404, 'not_found'])
    const { endpoint: theirs } = await newEndpoint()
    expect(outcomeOf(await operator('GET', `${base}/${theirs.id}`))).toEqual([404, 'not_found'])
    expect((await operator('DELETE', url)).statusCode).toBe(204)
  })
})

test('the list pages to its end, and takes no cursor of another owner', async () => {
  const made: string[] = []
  for (let count = 0; count < 5; count++) made.unshift((await newEndpoint()).endpoint.id)
  const seen: string[] = []
  let cursor = ''
  do {
    const page = (await tenant.call('GET', `/v1/webhook-endpoints?limit=2&cursor=${cursor}`)).json()
    seen.push(...page.data.map(({ id }: { id: string }) => id))
    cursor = page.next_cursor
  } while (cursor)
  expect(seen).toEqual(made)
  const first = (await tenant.call('GET', '/v1/webhook-endpoints?limit=2')).json().next_cursor
  const other = await newTenantWithKey(t)
  const foreign = await other.call('GET', `/v1/webhook-endpoints?cursor=${first}`)
  expect(outcomeOf(foreign)).toEqual([400, 'invalid_request'])
})

test('an event goes to its tenant’s enabled endpoints that want it, and to the operator’s', async () => {
  const { listening, create, remove, update } = t.services.webhookEndpoints
  const make = (owner: string | null, events: string[]) =>
    create(owner, { url: URL_OF_MINE, description: null, events })
  const other = await newTenantWithKey(t)
  const [all, hosts, off, theirs] = [
    await make(tenant.id, []),
    await make(tenant.id, ['host.connected', 'host.blocked']),
    await make(tenant.id, []),
    await make(other.id, []),
  ]
  const [operators, operatorsApps] = [await make(null, []), await make(null, ['app.paused'])]
  await update(tenant.id, off.id, { isEnabled: false })
  const told = async (tenantId: string | null, type: string) =>
    (await listening(tenantId, type)).map(({ id }) => id).toSorted()
  const ids = (...endpoints: { id: string }[]) => endpoints.map(({ id }) => id).toSorted()
  expect(await told(tenant.id, 'host.connected')).toEqual(ids(all, hosts, operators))
  expect(await told(tenant.id, 'app.paused')).toEqual(ids(all, operators, operatorsApps))
  expect(await told(other.id, 'host.connected')).toEqual(ids(theirs, operators))
  expect(await told(null, 'app.paused')).toEqual(ids(operators, operatorsApps))
  for (const { id } of [operators, operatorsApps]) await remove(null, id)
})

test('every type of event can be asked for, and one that is named twice counts once', async () => {
  expect((await newEndpoint({ events: EVENT_TYPES })).endpoint.events).toEqual(EVENT_TYPES)
  const twice = ['app.paused', 'app.paused']
  expect((await newEndpoint({ events: twice })).endpoint.events).toEqual(['app.paused'])
})

test('an endpoint that is deleted just as an event is dispatched keeps it from no other', async () => {
  const [gone, living] = [await newEndpoint(), await newEndpoint()]
  const { rows } = await t.admin.query(
    `INSERT INTO webhook_events (tenant_id, type, subject_id, claimed_until)
     VALUES ($1, 'host.connected', $1, now() + interval '1 h') RETURNING id`,
    [tenant.id],
  )
  await tenant.call('DELETE', gone.url)
  const { dispatch } = createOutboxStore(t.app.prisma, t.app.sql)
  await dispatch(rows[0].id, Buffer.from('sealed'), [gone.endpoint, living.endpoint])
  const filed = 'SELECT endpoint_id, tenant_id FROM webhook_deliveries WHERE event_id = $1'
  expect((await t.admin.query(filed, [rows[0].id])).rows).toEqual([
    { endpoint_id: living.endpoint.id, tenant_id: tenant.id },
  ])
})
