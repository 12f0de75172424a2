import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenantWithKey, outcomeOf, unique } from '../helpers/management.ts'

const PASS = { meeting: '85996249517', metadata: { b: '2', a: '1' } }
let t: TestApp

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())

const sql = async (text: string, values: unknown[] = []) => (await t.admin.query(text, values)).rows
async function newCaller() {
  const tenant = await newTenantWithKey(t)
  const idempotencyKey = unique()
  const post = (body: unknown = PASS, url = '/v1/passes', headers: Record<string, string> = {}) =>
    t.api('POST', url, { key: tenant.key, body, headers: { 'idempotency-key': idempotencyKey, ...headers } })
  const count = async () => (await sql('SELECT count(*)::int AS n FROM passes WHERE tenant_id = $1', [tenant.id]))[0].n
  return { ...tenant, idempotencyKey, post, count }
}

describe('the same Idempotency-Key', () => {
  test('with the same body gives the same answer, secrets that are shown once included, and does nothing twice', async () => {
    const { post, count } = await newCaller()
    const first = await post()
    const again = await post({ metadata: { a: '1', b: '2' }, meeting: '85996249517' })
    expect([again.statusCode, again.body]).toEqual([201, first.body])
    expect(again.headers['content-type']).toBe(first.headers['content-type'])
    expect([first.headers['idempotency-replayed'], again.headers['idempotency-replayed']]).toEqual([undefined, 'true'])
    expect(await count()).toBe(1)
  })

  test('with another body, or on another route, is a conflict', async () => {
    const { post, count } = await newCaller()
    await post()
    expect(outcomeOf(await post({ ...PASS, metadata: {} }))).toEqual([409, 'conflict'])
    expect(outcomeOf(await post({ meetings: [] }, '/v1/meetings/batch'))).toEqual([409, 'conflict'])
    expect(await count()).toBe(1)
  })

  test('of another tenant, or of the operator, is another key', async () => {
    const [a, b] = [await newCaller(), await newCaller()]
    const key = { 'idempotency-key': 'shared-between-all' }
    const answers = [await a.post(PASS, '/v1/passes', key), await b.post(PASS, '/v1/passes', key)]
    const tenant = await t.api('POST', '/v1/tenants', { body: { name: 'Acme' }, headers: key })
    expect([...answers, tenant].map(({ statusCode }) => statusCode)).toEqual([201, 201, 201])
    expect(new Set([...answers, tenant].map((answer) => answer.json().id)).size).toBe(3)
  })

  test('sent twenty times at once does the work once: the others hear the answer, or that it is on its way', async () => {
    const { post, count } = await newCaller()
    const answers = await Promise.all(Array.from({ length: 20 }, () => post()))
    const done = answers.filter(({ statusCode }) => statusCode === 201)
    const waiting = answers.filter(({ statusCode }) => statusCode === 409)
    expect([new Set(done.map(({ body }) => body)).size, done.length + waiting.length]).toEqual([1, 20])
    for (const answer of waiting) expect([answer.json().code, answer.headers['retry-after']]).toEqual(['conflict', '1'])
    expect(await count()).toBe(1)
    expect((await post()).body).toBe(done[0]?.body)
  })

  test('is free again after a refusal', async () => {
    const { post } = await newCaller()
    expect((await post({ ...PASS, host: { host_id: crypto.randomUUID() } })).statusCode).toBe(404)
    expect((await post({ ...PASS, kinds: ['none'] })).statusCode).toBe(400)
    expect((await post()).statusCode).toBe(201)
  })

  test('is free again after 24 hours', async () => {
    const { id, post, count } = await newCaller()
    await post()
    await sql("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 second' WHERE scope_id = $1", [id])
    expect((await post({ ...PASS, metadata: {} })).statusCode).toBe(201)
    expect(await count()).toBe(2)
  })

  test('of a request whose process died is taken for under way for 60 seconds, then free', async () => {
    const { id, post } = await newCaller()
    await post()
    const age = (seconds: number) =>
      sql(
        `UPDATE idempotency_keys SET status = NULL, response_ct = NULL, created_at = now() - $2 * interval '1 s'
          WHERE scope_id = $1`,
        [id, seconds],
      )
    await age(55)
    const waiting = await post()
    expect([...outcomeOf(waiting), waiting.headers['retry-after']]).toEqual([409, 'conflict', '1'])
    await age(61)
    expect((await post()).statusCode).toBe(201)
  })
})

describe('answers that are kept', () => {
  test('are sealed', async () => {
    const { id, post, idempotencyKey } = await newCaller()
    const secret = new URL((await post()).json().join_token_url).searchParams.get('pass') as string
    const [row] = await sql('SELECT * FROM idempotency_keys WHERE scope_id = $1', [id])
    for (const text of [row.response_ct, row.key_hash].map((bytes) => Buffer.from(bytes).toString('latin1'))) {
      expect(text).not.toContain(secret)
      expect(text).not.toContain(idempotencyKey)
    }
  })

  test('are purged when their time is over, and only then', async () => {
    const [old, recent] = [await newCaller(), await newCaller()]
    await Promise.all([old.post(), recent.post()])
    await sql("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE scope_id = $1", [old.id])
    await t.services.idempotencyKeys.purgeExpiredAcrossTenants()
    const left = 'SELECT scope_id FROM idempotency_keys WHERE scope_id = ANY($1)'
    expect(await sql(left, [[old.id, recent.id]])).toEqual([{ scope_id: recent.id }])
  })
})

test('an Idempotency-Key is one header of 1 to 255 printable characters', async () => {
  const { post } = await newCaller()
  for (const key of ['', 'x'.repeat(256), 'a\tb', 'ü'])
    expect(outcomeOf(await post(PASS, '/v1/passes', { 'idempotency-key': key }))).toEqual([400, 'invalid_request'])
  expect((await post(PASS, '/v1/passes', { 'idempotency-key': 'x'.repeat(255) })).statusCode).toBe(201)
})

test('an Idempotency-Key does not speak for whoever lacks a key, a scope or a valid body', async () => {
  const { id, post } = await newCaller()
  await post()
  const weak = await newTenantWithKey(t, ['hosts:read'])
  const refused = [
    await t.api('POST', '/v1/passes', { key: weak.key, body: PASS, headers: { 'idempotency-key': 'k' } }),
    await t.api('POST', '/v1/passes', { key: 'nobody', body: PASS, headers: { 'idempotency-key': 'k' } }),
    await post([]),
  ]
  expect(refused.map(({ statusCode }) => statusCode)).toEqual([403, 401, 400])
  expect(await sql('SELECT id FROM idempotency_keys WHERE scope_id = $1', [weak.id])).toEqual([])
  expect(await sql('SELECT status FROM idempotency_keys WHERE scope_id = $1', [id])).toEqual([{ status: 201 }])
})
