import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { uuidv7 } from '../../src/lib/ids.ts'
import { SCOPES } from '../../src/scopes.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenantWithKey, outcomeOf, refusalOf, seedHost, seedOrganization, unique } from '../helpers/management.ts'
import { type ApiRoute, apiRoutes, pathWith } from '../helpers/routes.ts'

let t: TestApp
let owner: Awaited<ReturnType<typeof newOwner>>
let stranger: Awaited<ReturnType<typeof newTenantWithKey>>

beforeAll(async () => {
  t = await startTestApp()
  owner = await newOwner()
  stranger = await newTenantWithKey(t, [...SCOPES]) // or its 403 would hide what its 404 tells
})
afterAll(() => t.stop())

const newSecret = () => `whsec_${Buffer.from(unique().repeat(3)).toString('base64')}`

/** A tenant with one object of each kind. */
async function newOwner() {
  const tenant = await newTenantWithKey(t)
  const { call } = tenant
  const host = await seedHost(t, tenant.id, 'alice')
  const organization = await seedOrganization(t, tenant.id, unique())
  const meetingId = '123123123'
  await call('PUT', `/v1/meetings/${meetingId}`, { host_id: host.id })
  const pass = (await call('POST', '/v1/passes', { meeting: meetingId })).json()
  const workspace = await t.api('POST', `/v1/tenants/${tenant.id}/recall-workspaces`, {
    body: { region: 'us-east-1', verification_secrets: [newSecret()] },
  })
  const endpoint = await call('POST', '/v1/webhook-endpoints', { url: 'https://hooks.example.com' })
  const endpointId = endpoint.json().id
  const eventId = uuidv7()
  await t.admin.query(
    `WITH e AS (INSERT INTO webhook_events (id, tenant_id, type, subject_id) VALUES ($1, $2, 'host.connected', $1))
     INSERT INTO webhook_deliveries (id, tenant_id, endpoint_id, event_id) VALUES ($1, $2, $3, $1)`,
    [eventId, tenant.id, endpointId],
  )
  const keys = (await t.api('GET', `/v1/tenants/${tenant.id}/api-keys`)).json().data
  return {
    ...tenant,
    host,
    organization,
    meetingId,
    pass,
    workspaceId: workspace.json().id,
    keyId: keys[0].id,
    endpointId,
    deliveryId: eventId,
  }
}

const BODIES: Record<string, unknown> = {
  'PUT /v1/meetings/{meeting_id}': { external_user_id: 'alice' },
  'PATCH /v1/tenants/{id}/recall-workspaces/{workspace_id}': { region: 'us-west-2' },
}

/** The ids of the owner's objects, by the first words of the path they stand in: a new kind of object must be named here. */
function idsFor({ path }: ApiRoute): Record<string, string> {
  const known: [string, Record<string, string>][] = [
    ['/v1/hosts/{id}', { id: owner.host.id }],
    ['/v1/organizations/{id}', { id: owner.organization.id }],
    ['/v1/meetings/{meeting_id}', { meeting_id: owner.meetingId }],
    ['/v1/passes/{id}', { id: owner.pass.id }],
    ['/v1/webhook-endpoints/{id}/deliveries/{delivery_id}', { id: owner.endpointId, delivery_id: owner.deliveryId }],
    ['/v1/webhook-endpoints/{id}', { id: owner.endpointId }],
    ['/v1/operator/webhook-endpoints/{id}', { id: owner.endpointId, delivery_id: owner.deliveryId }],
    ['/v1/tenants/{id}/api-keys/{key_id}', { id: stranger.id, key_id: owner.keyId }],
    ['/v1/tenants/{id}/recall-workspaces/{workspace_id}', { id: stranger.id, workspace_id: owner.workspaceId }],
  ]
  const ids = known.find(([prefix]) => path.startsWith(prefix))?.[1]
  if (!ids) throw new Error(`${path} names an object that this test does not know`)
  return ids
}
const unknownIds = (ids: Record<string, string>) =>
  Object.fromEntries(
    Object.keys(ids).map((name) => {
      if (name === 'meeting_id') return [name, '999999999']
      return [name, name === 'id' && ids.id === stranger.id ? stranger.id : uuidv7()]
    }),
  )

test('another tenant’s object answers on every route as one that does not exist, byte for byte, and stays as it was', async () => {
  // routes of one tenant, and those of the operator where one tenant's object is named under another
  const ofObjects = apiRoutes(t).filter(
    ({ caller, path }) => path.includes('{') && (caller !== 'operator' || path.split('{').length > 2),
  )
  expect(ofObjects.length).toBeGreaterThan(12)
  const failures: string[] = []
  for (const route of ofObjects) {
    const name = `${route.method} ${route.path}`
    if (name === 'PUT /v1/meetings/{meeting_id}') continue // a number belongs to nobody: each tenant maps it for itself
    const [ids, body] = [idsFor(route), BODIES[name] ?? {}]
    const ask = async (values: Record<string, string>) =>
      refusalOf(
        await t.api(route.method, pathWith(route.path, values), {
          ...(route.caller === 'operator' ? {} : { key: stranger.key }),
          ...(route.hasBody ? { body } : {}),
        }),
      )
    const [theirs, nobodys] = [await ask(ids), await ask(unknownIds(ids))]
    if (theirs[0] !== 404 || JSON.stringify(theirs) !== JSON.stringify(nobodys)) failures.push(name)
  }
  expect(failures).toEqual([])
  for (const path of [`hosts/${owner.host.id}`, `organizations/${owner.organization.id}`, `passes/${owner.pass.id}`])
    expect((await owner.call('GET', `/v1/${path}`)).statusCode).toBe(200)
  expect((await owner.call('GET', `/v1/meetings/${owner.meetingId}`)).json().host_id).toBe(owner.host.id)
})

test('another tenant’s id in a body answers as one that does not exist', async () => {
  const { call } = stranger
  const bodies = (host: string, organization: string): [Parameters<typeof call>[0], string, unknown][] => [
    ['PUT', '/v1/meetings/111111111', { host_id: host }],
    ['PUT', '/v1/meetings/111111111', { organization_id: organization }],
    ['POST', '/v1/passes', { meeting: '111111111', host: { host_id: host } }],
    ['POST', '/v1/passes', { meeting: '111111111', on_behalf_of: [{ host_id: host }] }],
    ['POST', '/v1/meetings/batch', { meetings: [{ meeting_id: '111111111', host_id: host }] }],
    ['POST', '/v1/meetings/batch', { meetings: [{ meeting_id: '111111111', organization_id: organization }] }],
  ]
  const theirs = bodies(owner.host.id, owner.organization.id)
  const nobodys = bodies(uuidv7(), uuidv7())
  for (const [index, request] of theirs.entries()) {
    const answers = [await call(...request), await call(...(nobodys[index] as typeof request))]
    expect(refusalOf(answers[0] as never)).toEqual(refusalOf(answers[1] as never))
  }
  expect(outcomeOf(await call('GET', '/v1/meetings/111111111'))).toEqual([404, 'not_found'])
})

test('lists hold a tenant’s own rows and no other’s, whatever they are filtered by', async () => {
  const { call } = stranger
  const queries = [
    'hosts?external_user_id=alice',
    'organizations',
    `meetings?host_id=${owner.host.id}`,
    `passes?meeting_id=${owner.meetingId}`,
    `mints?pass_id=${owner.pass.id}`,
  ]
  for (const query of queries)
    expect((await call('GET', `/v1/${query}`)).json()).toEqual({ data: [], next_cursor: null })
})

describe('the database', () => {
  const rows = async (text: string) => (await t.admin.query(text)).rows
  // null is an app shared by all (its grants belong to no tenant), a line of the trail about no tenant, an endpoint of the operator
  const TENANT_TABLES = `
    SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
     WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
       AND c.relname NOT IN ('zoom_apps', 'audit_events', 'webhook_endpoints', 'webhook_events', 'webhook_deliveries')`

  test('has tenant_id NOT NULL and unique with id in every table of tenants', async () => {
    const tables = await rows(`
      SELECT t.relname, (SELECT attnotnull FROM pg_attribute WHERE attrelid = t.oid AND attname = 'tenant_id') AS "isNotNull",
             EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique AND i.indpred IS NULL AND ARRAY(
               SELECT a.attname::text FROM unnest(i.indkey::int2[]) k JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k
             ) @> '{tenant_id,id}' AND array_length(i.indkey::int2[], 1) = 2) AS "isUnique"
        FROM (${TENANT_TABLES}) t`)
    expect(tables.length).toBeGreaterThan(8)
    expect(tables.filter(({ isNotNull, isUnique }) => !isNotNull || !isUnique)).toEqual([])
  })

  test('has no foreign key between two tables of tenants that leaves the tenant out', async () => {
    const plain = await rows(`
      WITH t AS (${TENANT_TABLES})
      SELECT c.conname FROM pg_constraint c JOIN t child ON child.oid = c.conrelid JOIN t parent ON parent.oid = c.confrelid
       WHERE c.contype = 'f' AND NOT (
         EXISTS (SELECT FROM unnest(c.conkey) k JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k
                  WHERE a.attname = 'tenant_id')
         AND EXISTS (SELECT FROM unnest(c.confkey) k JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k
                  WHERE a.attname = 'tenant_id'))`)
    expect(plain).toEqual([])
  })

  test('refuses a row of one tenant that points at a row of another', async () => {
    const insert = `INSERT INTO meetings (id, tenant_id, meeting_id, organization_id, source) VALUES ($1, $2, '1'||'23456789', $3, 'api')`
    const foreign = [uuidv7(), stranger.id, owner.organization.id]
    await expect(t.admin.query(insert, foreign)).rejects.toMatchObject({ code: '23503' })
  })

  test('keeps nothing of a tenant that was deleted', async () => {
    const gone = await newOwner()
    expect((await t.api('DELETE', `/v1/tenants/${gone.id}`)).statusCode).toBe(204)
    const tables = (await rows(TENANT_TABLES)).map(
      ({ relname }) => `SELECT '${relname}' AS name, tenant_id FROM ${relname}`,
    )
    const left = await t.admin.query(
      `SELECT name FROM (${tables.join(' UNION ALL ')}) r WHERE tenant_id = $1
       UNION ALL SELECT 'data_keys' FROM data_keys WHERE owner_id = $1
       UNION ALL SELECT 'idempotency_keys' FROM idempotency_keys WHERE scope_id = $1`,
      [gone.id],
    )
    expect(left.rows).toEqual([])
    expect(outcomeOf(await t.api('GET', '/v1/hosts', { key: gone.key }))).toEqual([401, 'unauthenticated'])
  })
})
