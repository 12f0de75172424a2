import { Client } from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenantWithKey } from '../helpers/management.ts'
import { apiRoutes, BODIES, pathWith } from '../helpers/routes.ts'
import { deauthorization, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

let t: TestApp
let tenant: { id: string; key: string }

beforeAll(async () => {
  t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET } })
  tenant = await newTenantWithKey(t)
  const admin = new Client({ connectionString: inject('server').adminUrl })
  await admin.connect()
  await admin.query(`DROP DATABASE "${new URL(t.databaseUrl).pathname.slice(1)}" WITH (FORCE)`)
  await admin.end()
})
afterAll(() => t.stop())

const id = crypto.randomUUID()
const VALUES = { id, delivery_id: id, key_id: id, workspace_id: id, meeting_id: '111111111' }
test('without its database every route answers 503 store_unavailable with Retry-After, and says nothing of the cause', async () => {
  const wrong: string[] = []
  for (const { method, path, hasBody } of apiRoutes(t)) {
    const name = `${method} ${path}`
    const body = hasBody ? (BODIES[name] ?? {}) : undefined
    const answer = await t.api(method, pathWith(path, VALUES), { body })
    const isRight =
      answer.statusCode === 503 && answer.json().code === 'store_unavailable' && answer.headers['retry-after']
    if (!isRight || /database "|does not exist|prisma/i.test(answer.body)) wrong.push(`${name}: ${answer.body}`)
  }
  expect(wrong).toEqual([])
})

test('without its database a key is not told from a wrong one, and an Idempotency-Key is not taken for free', async () => {
  const listed = await t.api('GET', '/v1/hosts', { key: tenant.key })
  const posted = await t.api('POST', '/v1/tenants', { body: { name: 'x' }, headers: { 'idempotency-key': 'k' } })
  expect([listed.json().code, posted.json().code]).toEqual(['store_unavailable', 'store_unavailable'])
})

test('without its database an event of Zoom’s is 503 within Zoom’s 3 s, so that Zoom sends it again; a forged one is still 401', async () => {
  const startMs = performance.now()
  const answer = await zoomSends(t, deauthorization('user', 'account'))
  expect([answer.statusCode, answer.json().code]).toEqual([503, 'store_unavailable'])
  expect(performance.now() - startMs).toBeLessThan(3000)
  expect((await zoomSends(t, deauthorization('user', 'account'), { secret: 'another' })).statusCode).toBe(401)
})
