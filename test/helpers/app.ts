import { randomBytes } from 'node:crypto'
import { Writable } from 'node:stream'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import { signRecallRequest } from '../../simulator/recall.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../simulator/server.ts'
import { buildApp } from '../../src/app.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'

export const OPERATOR_KEY = 'operator-key-of-the-tests-0123456789abcdef'
export const RECALL_SECRET = `whsec_${randomBytes(32).toString('base64')}`
const ENCRYPTION_KEYS = `test:${randomBytes(32).toString('base64')}`

export interface TestAppOptions {
  env?: Record<string, string>
  /** With a `DATABASE_URL` in `env`: the superuser of that database. */
  adminUrl?: string
  simulator?: SimulatorOptions
  /** Moves the service's own clock (signatures, expiry of keys); the database's stays. */
  now?: () => number
}

interface ApiOptions {
  key?: string
  body?: unknown
  headers?: Record<string, string>
}

type Api = (method: InjectOptions['method'], url: string, options?: ApiOptions) => Promise<LightMyRequestResponse>

/** What the service runs with against a simulator: everything a test does not care about. */
function testEnvironment(database: TestDatabase, zoom: Pick<Simulator, 'oauthBaseUrl' | 'apiBaseUrl'>) {
  return {
    DATABASE_URL: database.appUrl,
    DATABASE_MINT_URL: database.mintUrl,
    ENCRYPTION_KEYS,
    OPERATOR_API_KEY: OPERATOR_KEY,
    PUBLIC_BASE_URL: 'http://localhost:4000',
    ZOOM_OAUTH_APP_CLIENT_ID: 'simulator-client-id',
    ZOOM_OAUTH_APP_CLIENT_SECRET: 'simulator-client-secret',
    ZOOM_OAUTH_BASE_URL: zoom.oauthBaseUrl,
    ZOOM_API_BASE_URL: zoom.apiBaseUrl,
    RECALL_VERIFICATION_SECRETS: RECALL_SECRET,
    METRICS_PORT: '0',
    LOG_LEVEL: 'debug',
  }
}

/** Settings with others in their place; another database for all that asks one, by one role unless there are two. */
export function changed(settings: Record<string, string>, env: Record<string, string>): Record<string, string> {
  const { DATABASE_URL } = env
  return { ...settings, ...(DATABASE_URL ? { DATABASE_MINT_URL: DATABASE_URL } : {}), ...env }
}

/** The whole service on a database and a simulator of its own, for a test file that shares one; end it with `stop`. */
export async function startTestApp({ env = {}, adminUrl, simulator = {}, now }: TestAppOptions = {}) {
  const [database, zoom] = await Promise.all([createTestDatabase(), startSimulator(simulator)])
  const log: string[] = []
  const logStream = new Writable({
    write(chunk, _encoding, done) {
      log.push(String(chunk))
      done()
    },
  })
  const settings: Record<string, string> = changed(testEnvironment(database, zoom), env)
  const built = await buildApp({ env: settings, logStream, ...(now ? { now } : {}) })
  const { app } = built
  const admin = new pg.Pool({ connectionString: adminUrl ?? database.adminUrl, max: 4 })
  admin.on('error', () => undefined) // a test may cut off whoever is connected
  const stop = async () => {
    await app.close()
    await zoom.close()
    await admin.end()
    await database.drop()
  }
  await built.prepare()

  const api: Api = async (method, url, { key = OPERATOR_KEY, body, headers = {} } = {}) => {
    return await app.inject({
      method: method ?? 'GET',
      url,
      headers: { authorization: `Bearer ${key}`, ...headers },
      ...(body === undefined ? {} : { payload: body as object }),
    })
  }
  /** What Recall sends just before a bot joins. */
  async function bot(url: string, options: { secrets?: string[]; id?: string; headers?: Record<string, string> } = {}) {
    const { secrets = [RECALL_SECRET], id = `msg_${randomBytes(12).toString('hex')}`, headers = {} } = options
    const timestamp = Math.floor((now?.() ?? Date.now()) / 1000)
    const { pathname, search } = new URL(url, 'http://localhost')
    return await app.inject({
      url: pathname + search,
      headers: { ...signRecallRequest({ secrets, id, timestamp }), ...headers },
    })
  }
  return {
    ...built,
    settings,
    databaseUrl: database.appUrl,
    database,
    admin,
    zoom,
    log,
    api,
    bot,
    stop,
    ...makers({ app, api, zoom }),
  }
}

/** The same for one test alone, gone when it has finished. */
export async function buildTestApp(options: TestAppOptions = {}) {
  const started = await startTestApp(options)
  onTestFinished(started.stop)
  return started
}

export type TestApp = Awaited<ReturnType<typeof startTestApp>>

/** Shortcuts that go through the service's own front door. */
function makers({ app, api, zoom }: { app: FastifyInstance; api: Api; zoom: Simulator }) {
  /** Opens a connect link as a browser would; gives where Zoom is asked, and the cookie. */
  async function open(url: string) {
    const { pathname, search } = new URL(url)
    const opened = await app.inject({ url: pathname + search })
    const cookie = opened.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
    return { opened, cookie, authorize: new URL(String(opened.headers.location)) }
  }
  /** Follows a connect link to its end: the Zoom user agrees, the browser comes back. */
  async function follow(url: string, user: string) {
    const { cookie, authorize } = await open(url)
    const query = Object.fromEntries(authorize.searchParams)
    const { location } = await zoom.authorize({ ...query, user } as Parameters<Simulator['authorize']>[0])
    const back = new URL(location)
    return await app.inject({ url: back.pathname + back.search, headers: { cookie } })
  }
  async function connectLink(session: Record<string, unknown>, headers: Record<string, string> = {}) {
    const created = await api('POST', '/v1/connect-sessions', { body: session, headers })
    return String(created.json().url)
  }
  /** A connected host, made through the real flow. */
  async function connectHost(externalUserId: string, user: string, headers: Record<string, string> = {}) {
    await follow(await connectLink({ external_user_id: externalUserId }, headers), user)
    const found = await api('GET', `/v1/hosts?external_user_id=${encodeURIComponent(externalUserId)}`, { headers })
    return found.json().data[0] as { id: string; status: string; status_reason: string | null; zoom_user_id: string }
  }
  async function createPass(body: Record<string, unknown>, headers: Record<string, string> = {}) {
    const created = await api('POST', '/v1/passes', { body, headers })
    return created.json() as { id: string; join_token_url: string; obf_token_url: string; zak_token_url: string }
  }
  return { open, follow, connectLink, connectHost, createPass }
}
