import { randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { buildApp } from '../../src/app.ts'
import { errorHandler } from '../../src/plugins/error-handler.ts'
import { errorResponses } from '../../src/plugins/responses.ts'
import { routeContract } from '../../src/plugins/route-contract.ts'
import { buildTestApp } from '../helpers/app.ts'
import { createTestDatabase } from '../helpers/database.ts'

const keyOf = (kid: string) => `${kid}:${randomBytes(32).toString('base64')}`

/** A second start on a database, with its own environment. */
async function startOn(databaseUrl: string, env: Record<string, string>) {
  const settings = {
    DATABASE_URL: databaseUrl,
    OPERATOR_API_KEY: 'o'.repeat(40),
    LOG_LEVEL: 'silent',
    METRICS_PORT: '0',
  }
  const built = await buildApp({ env: { ENCRYPTION_KEYS: keyOf('k1'), ...settings, ...env } })
  onTestFinished(() => built.app.close())
  return built
}
async function emptyDatabase() {
  const database = await createTestDatabase({ empty: true })
  onTestFinished(() => database.drop())
  return database.ownerUrl
}

describe('a route that does not say what it answers refuses to boot', () => {
  const good = { operationId: 'x', tags: ['x'], response: { 200: z.object({}), ...errorResponses } }
  test.each([
    ['no response schema', { schema: { ...good, response: undefined }, config: { caller: 'anyone' } }],
    ['no success', { schema: { ...good, response: errorResponses }, config: { caller: 'anyone' } }],
    [
      'no 4xx',
      { schema: { ...good, response: { 200: z.object({}), '5xx': z.object({}) } }, config: { caller: 'anyone' } },
    ],
    ['no operationId', { schema: { ...good, operationId: undefined }, config: { caller: 'anyone' } }],
    ['nobody who may call it', { schema: good, config: {} }],
  ])('%s', async (_what, options) => {
    const app = Fastify().setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler)
    await app.register(errorHandler)
    await app.register(routeContract)
    expect(() => app.get('/x', options as never, async () => ({}))).toThrow(/Route GET \/x lacks/)
  })
})

describe('encryption keys', () => {
  test('a swapped key under the same id refuses to start and names the id', async () => {
    const t = await buildTestApp()
    const { prepare } = await startOn(t.databaseUrl, { ENCRYPTION_KEYS: keyOf('test') })
    await expect(prepare()).rejects.toThrow(/ENCRYPTION_KEYS: the key test is not the one/)
  })
  test('a missing key that data keys still need refuses to start and names the id', async () => {
    const t = await buildTestApp()
    await t.connectHost('user-1', 'host@example.com')
    const { prepare } = await startOn(t.databaseUrl, { ENCRYPTION_KEYS: keyOf('other') })
    await expect(prepare()).rejects.toThrow(/ENCRYPTION_KEYS lacks test/)
  })
  test('a new first key beside the old one starts, and both read', async () => {
    const t = await buildTestApp()
    await t.connectHost('user-1', 'host@example.com')
    const { prepare } = await startOn(t.databaseUrl, {
      ENCRYPTION_KEYS: `${keyOf('new')},${t.settings.ENCRYPTION_KEYS}`,
    })
    await prepare()
  })
})

describe('migrations', () => {
  test('pending ones refuse the start and are named; readiness says so too', async () => {
    const { prepare, readiness } = await startOn(await emptyDatabase(), {})
    await expect(prepare()).rejects.toThrow(/Migrations are pending: \d{14}_init/)
    expect(await readiness.notReady()).toBe('migrations_pending')
  })
  test('with MIGRATE_ON_START they are applied first', async () => {
    const { prepare, readiness } = await startOn(await emptyDatabase(), { MIGRATE_ON_START: 'true' })
    await prepare()
    expect(await readiness.notReady()).toBe(null)
  })
  test('newer ones than our own are fine, unless one says that we cannot work with it', async () => {
    const t = await buildTestApp()
    const insert = (name: string) =>
      t.admin.query(
        `INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
         VALUES (gen_random_uuid()::text, 'x', '${name}', now(), 1)`,
      )
    await insert('29990101000000_newer')
    const env = { ENCRYPTION_KEYS: String(t.settings.ENCRYPTION_KEYS) }
    await (await startOn(t.databaseUrl, env)).prepare()
    await t.admin.query(`INSERT INTO schema_compatibility VALUES ('29990101000000_newer', now())`)
    await expect((await startOn(t.databaseUrl, env)).prepare()).rejects.toThrow(/29990101000000_newer/)
  })
})

describe('health', () => {
  test('a clock that is not the database’s is told, in the log and as a metric', async () => {
    const t = await buildTestApp({ now: () => Date.now() - 40_000 })
    await t.services.lookAtDatabase()
    expect(t.log.join('')).toMatch(/"offset_seconds":-40,.*the clocks of this machine and of the database differ/)
    expect(await t.metrics.registry.metrics()).toMatch(/^latchkey_clock_offset_seconds -(40|39\.9)/m)
  })
  test('readiness tells a lost database and a stopping process by one word each; /healthz needs neither', async () => {
    const t = await buildTestApp()
    expect((await t.app.inject({ url: '/readyz' })).json()).toEqual({ status: 'ready' })
    t.readiness.stopping()
    expect((await t.app.inject({ url: '/readyz' })).json()).toEqual({ status: 'stopping' })
    const { app } = await startOn('postgresql://nobody@127.0.0.1:1/nothing', {})
    const answer = await app.inject({ url: '/readyz' })
    expect([answer.statusCode, answer.json()]).toEqual([503, { status: 'database_unreachable' }])
    expect((await app.inject({ url: '/healthz' })).statusCode).toBe(200)
  })
})

test('/openapi.json describes the routes, and /docs shows them without fetching anything from elsewhere', async () => {
  const { app } = await startOn('postgresql://nobody@127.0.0.1:1/nothing', {})
  const document = (await app.inject({ url: '/openapi.json' })).json()
  expect(Object.keys(document.paths)).toEqual(
    expect.arrayContaining(['/v1/passes', '/v1/hosts/{id}', '/zoom/join-token']),
  )
  expect((await app.inject({ url: '/docs' })).headers.location).toBe('/docs/')
  const page = await app.inject({ url: '/docs/' })
  expect(page.statusCode).toBe(200)
  expect(page.headers['content-type']).toContain('text/html')
  expect(page.body).not.toMatch(/src="https?:/)
})
