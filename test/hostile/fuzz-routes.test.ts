import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import type { InjectOptions } from 'fastify'
import { afterAll, expect, test } from 'vitest'
import { signRecallRequest } from '../../simulator/recall.ts'
import { OPERATOR_KEY, RECALL_SECRET, startTestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { newRecallSecret, newWorkspace } from '../helpers/guard.ts'
import { newTenantWithKey, unique } from '../helpers/management.ts'
import { arbitraryOf, naughty, type Operation, operationsOf, type Schema } from '../helpers/openapi-arbitraries.ts'
import { newVaultHost } from '../helpers/vault.ts'
import { WEBHOOK_SECRET } from '../helpers/zoom-events.ts'

/** Over all operations together. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 2000)
// the usual run sends the same requests every time: whoever changes something learns of that, and of nothing else
const SEED = process.env.FUZZ_RUNS === undefined ? { seed: 20_261_124 } : {}
let looks = 0
const t = await startTestApp({
  env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET },
  // another second at every look, or failed authentications would soon be 429 and nothing else
  now: () => Date.now() + (looks++ % 4) * 1000,
})
afterAll(() => t.stop())

const document = (await t.app.inject({ url: '/openapi.json' })).json()
const operations = operationsOf(document)
const host = await newVaultHost(t)
const tenant = await newTenantWithKey(t)
const made = async (url: string, body: object) => String((await t.api('POST', url, { body })).json().id)
const workspace = (await newWorkspace(t, tenant.id, [newRecallSecret()])).split('/').at(-1) as string
const zoomApp = { client_id: unique(), client_secret: unique(), tenant_id: tenant.id }
const keys = (await t.api('GET', `/v1/tenants/${tenant.id}/api-keys`)).json().data
const zakPass = await t.createPass({ meeting: host.meeting, kinds: ['zak'] })
/** What exists, by the part of a path that it stands behind. */
const ids: Record<string, string> = {
  tenants: tenant.id,
  'api-keys': keys[0].id,
  'recall-workspaces': workspace,
  'zoom-apps': await made('/v1/zoom-apps', zoomApp),
  'webhook-endpoints': await made('/v1/webhook-endpoints', { url: 'https://hooks.example.com/latchkey' }),
  operator: await made('/v1/operator/webhook-endpoints', { url: 'https://hooks.example.com/operator' }),
  hosts: host.hostId,
  passes: host.passId,
  meetings: host.meeting,
}
const known = {
  host_id: [host.hostId],
  external_user_id: [host.externalUserId],
  meeting: [host.meeting, `https://zoom.us/j/${host.meeting}?pwd=x`],
  meeting_id: [host.meeting],
  pass_id: [host.passId],
  pass: [host.joinUrl, zakPass.zak_token_url].map((url) => new URL(url).searchParams.get('pass')),
  tenant_id: [tenant.id],
  refresh_token: ['not-a-token-of-zoom'],
  url: ['https://hooks.example.com/fuzz'],
  return_url_origins: [['https://app.example.com'], []],
  verification_secrets: [[newRecallSecret()]],
  slug: [undefined],
  limit: ['1', '50', '200'],
  cursor: [''],
  expected_email: [host.email],
  join_at: [new Date(Date.now() + 86_400_000).toISOString()],
  expires_at: [new Date(Date.now() + 2 * 86_400_000).toISOString()],
  return_url: ['https://app.example.com/done'],
}
const canaries = [OPERATOR_KEY, RECALL_SECRET.slice(6), WEBHOOK_SECRET, 'simulator-client-secret', tenant.key]

interface Shot {
  path: string
  query: string
  payload: string | undefined
  headers: Record<string, string>
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
const encoded = (value: unknown) => encodeURIComponent(textOf(value).toWellFormed())
const mostly = <Value>(usual: Value, ...others: Value[]) =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) })

function pathOf({ path }: Operation) {
  const parts = path.split('/').map((part, index, all) => {
    if (!part.startsWith('{')) return fc.constant(part)
    const id = ids[all[2] === 'operator' && index === 4 ? 'operator' : (all[index - 1] ?? '')] ?? host.hostId
    return fc.oneof(
      { weight: 5, arbitrary: fc.constant(id) },
      fc.uuid(),
      naughty.map(encoded),
      fc.constant(host.meeting),
    )
  })
  return fc.tuple(...parts).map((values) => values.join('/'))
}

function queryOf({ parameters }: Operation) {
  const pairs = parameters
    .filter((parameter) => parameter.in === 'query')
    .map(({ name, schema }) =>
      fc.option(
        arbitraryOf(schema, known, name).map((value) => `${name}=${encoded(value)}`),
        { freq: 2 },
      ),
    )
  const strange = fc.oneof(
    { weight: 12, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.constantFrom('%zz', 'a[]=1', '&&', 'limit=1&limit=2') },
    { weight: 1, arbitrary: naughty.map(encoded) },
  )
  return fc.tuple(...pairs, strange).map((given) => given.filter((each) => each !== null).join('&'))
}

function bodyOf({ body }: Operation) {
  if (!body) return fc.constant(undefined)
  return fc.oneof(
    { weight: 9, arbitrary: arbitraryOf(body as Schema, known).map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: naughty },
  )
}

const management = fc.record(
  {
    authorization: mostly(`Bearer ${OPERATOR_KEY}`, `Bearer ${tenant.key}`, 'Bearer x', 'Basic x'),
    'content-type': mostly('application/json', 'text/plain', ''),
    'latchkey-tenant': mostly('default', tenant.id, 'nobody', '../x'),
    'idempotency-key': mostly('', 'one-key', 'x'.repeat(300)),
  },
  { requiredKeys: ['authorization', 'content-type'] },
)
const signed = () =>
  signRecallRequest({ secrets: [RECALL_SECRET], id: `msg_${unique()}`, timestamp: Math.floor(Date.now() / 1000) })
const bot = fc.oneof(
  { weight: 5, arbitrary: fc.constant(null).map(signed) },
  { weight: 1, arbitrary: fc.constant({ 'webhook-id': 'msg_1', 'webhook-signature': 'v1,x' }) },
)

function zoomEvent(body: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000))
  const hex = createHmac('sha256', WEBHOOK_SECRET).update(`v0:${timestamp}:`).update(body).digest('hex')
  return { 'content-type': 'application/json', 'x-zm-signature': `v0=${hex}`, 'x-zm-request-timestamp': timestamp }
}
const eventBody = fc
  .record({
    event: fc.oneof(fc.constantFrom('app_deauthorized', 'user.updated', 'meeting.updated', 'user.deleted'), naughty),
    event_ts: fc.oneof(fc.integer(), fc.jsonValue()),
    payload: fc.oneof(
      fc.jsonValue(),
      fc.record({
        account_id: naughty,
        user_id: naughty,
        object: fc.record({ id: naughty, host_id: naughty, pmi: naughty }),
      }),
    ),
  })
  .map((event) => JSON.stringify(event))

/** One request to an operation: who sends it, and what. */
function shotAt(operation: Operation): fc.Arbitrary<Shot> {
  const rest = { path: pathOf(operation), query: queryOf(operation) }
  if (operation.path.startsWith('/zoom/webhook'))
    return fc.record({ ...rest, payload: eventBody }).map((shot) => ({ ...shot, headers: zoomEvent(shot.payload) }))
  const headers = operation.isOpen ? bot : management
  return fc.record({ ...rest, payload: bodyOf(operation), headers }) as fc.Arbitrary<Shot>
}

const isDocumented = ({ statuses }: Operation, status: number) =>
  statuses.includes(String(status)) || statuses.includes(`${Math.floor(status / 100)}XX`)

async function fire(operation: Operation, { path, query, payload, headers }: Shot) {
  const logBefore = t.log.length
  const answer = await t.app.inject({
    method: operation.method as InjectOptions['method'] & string,
    url: query === '' ? path : `${path}?${query}`,
    headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== '')),
    ...(payload === undefined ? {} : { payload }),
  } as InjectOptions)
  const { statusCode, body } = answer
  expect([statusCode < 500, isDocumented(operation, statusCode), body.slice(0, 300)]).toEqual([
    true,
    true,
    expect.anything(),
  ])
  const isPage = String(answer.headers['content-type']).startsWith('text/html')
  if (statusCode >= 400 && !isPage) {
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    expect(answer.json()).toMatchObject({
      status: statusCode,
      code: expect.any(String),
      request_id: expect.any(String),
    })
  }
  const lines = t.log.slice(logBefore)
  const secrets = [...canaries, ...t.zoom.issued.map(({ value }) => value)]
  expect(secrets.filter((secret) => lines.some((line) => line.includes(secret)))).toEqual([])
  if (statusCode >= 300) expect(secrets.filter((secret) => body.includes(secret))).toEqual([])
  expect(body).not.toMatch(/\bat .+\.(ts|js|mjs):\d+/)
  expect(lines.map((line) => JSON.parse(line)).filter(({ level, err }) => level >= 50 || err?.stack)).toEqual([])
  return statusCode
}

const answered = new Map<number, number>()
afterAll(() => {
  const total = [...answered].sort().map(([status, count]) => `${count} × ${status}`)
  console.info(`fuzzed ${operations.length} operations: ${total.join(', ')}`)
})

test.each(operations)(
  '$operationId answers whatever is sent with a status it documents, and never with a fault of ours',
  async (operation) => {
    const shots = fc.asyncProperty(shotAt(operation), async (shot) => {
      const status = await fire(operation, shot)
      answered.set(status, (answered.get(status) ?? 0) + 1)
    })
    await fc.assert(shots, { numRuns: Math.max(1, Math.ceil(RUNS / operations.length)), ...SEED })
  },
  30_000 + RUNS * 50,
)

test('and after all of it the service is well: what should be taken is taken', async () => {
  // a long run has used up what one address may open of connect flows
  await rows(t, 'DELETE FROM connect_flows')
  const other = await newVaultHost(t)
  expect((await t.bot(other.joinUrl)).statusCode).toBe(200)
  expect([...answered.keys()].filter((status) => status < 300).length).toBeGreaterThan(1)
  await t.services.zoomEvents.processAcrossTenants()
  expect(t.log.filter((line) => JSON.parse(line).level >= 50)).toEqual([])
})
