import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Simulator, startSimulator } from '../simulator/server.ts'
import { startEmbeddedPostgres } from './embedded-postgres.ts'

const ROOT = join(import.meta.dirname, '..')
const DATA_DIR = join(ROOT, '.data')
const LOG_FILE = join(DATA_DIR, 'demo.log')
const READY_WITHIN_MS = 30_000
const MEETING = '85996249517'
const HOST = 'host@example.com'

const say = (line = '') => process.stdout.write(`${line}\n`)
let step = 0
function tell(who: string, did: string, outcome: string): void {
  step += 1
  say(`  ${String(step).padStart(2)}  ${who.padEnd(20)} ${did}`)
  for (const line of outcome.split('\n')) say(`      ${''.padEnd(20)} ${line}`)
}

/** The usual port where it is free, else any. */
async function freePort(wanted: number): Promise<number> {
  const tryPort = (port: number) =>
    new Promise<number | null>((resolve) => {
      const probe = createServer()
      probe.once('error', () => resolve(null))
      probe.listen(port, '127.0.0.1', () => {
        const address = probe.address()
        probe.close(() => resolve(typeof address === 'object' && address ? address.port : null))
      })
    })
  return (await tryPort(wanted)) ?? (await tryPort(0)) ?? wanted
}

interface Answer {
  status: number
  headers: Headers
  text: string
}

async function call(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(10_000), ...init })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

function expectStatus(answer: Answer, status: number, what: string): void {
  if (answer.status !== status)
    throw new Error(`${what} answered ${answer.status} instead of ${status}: ${answer.text}`)
}

interface Demo {
  baseUrl: string
  operatorKey: string
  recallSecret: string
  zoom: Simulator
}

const api = async ({ baseUrl, operatorKey }: Demo, method: string, path: string, body: unknown, status: number) => {
  const headers = { authorization: `Bearer ${operatorKey}`, 'content-type': 'application/json' }
  const answer = await call(`${baseUrl}${path}`, { method, headers, body: JSON.stringify(body) })
  expectStatus(answer, status, `${method} ${path}`)
  return JSON.parse(answer.text)
}

/** Presses Allow on the simulated Zoom's own page. */
async function consent(authorizeUrl: URL): Promise<string> {
  const page = await call(authorizeUrl.href)
  expectStatus(page, 200, 'the consent page')
  const button = new RegExp(`<button[^>]*name="user_id"[^>]*value="([^"]+)"[^>]*>[^<]*${HOST}`).exec(page.text)
  if (!button?.[1]) throw new Error(`the consent page has no button for ${HOST}`)
  const form = new URLSearchParams(authorizeUrl.searchParams)
  form.set('user_id', button[1])
  const answer = await call(`${authorizeUrl.origin}${authorizeUrl.pathname}`, { method: 'POST', body: form })
  expectStatus(answer, 302, 'the consent')
  return String(answer.headers.get('location'))
}

/** Once per user: a link, Zoom's consent page, and a connected host. */
async function connectHost(demo: Demo): Promise<void> {
  const session = await api(demo, 'POST', '/v1/connect-sessions', { external_user_id: 'user-42' }, 201)
  tell('backend → Latchkey', 'POST /v1/connect-sessions {"external_user_id":"user-42"}', '201, a link for this user')
  const opened = await call(session.url)
  expectStatus(opened, 302, 'the connect link')
  const cookie = opened.headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ')
  const authorizeUrl = new URL(String(opened.headers.get('location')))
  tell(
    'browser → Latchkey',
    'GET the link',
    `302 to ${authorizeUrl.origin}${authorizeUrl.pathname}, with state and PKCE challenge`,
  )
  const returned = await consent(authorizeUrl)
  tell('browser → Zoom', `${HOST} presses Allow`, '302 back to Latchkey, with a code')
  const connected = await call(returned, { headers: { cookie } })
  expectStatus(connected, 200, 'the callback')
  tell(
    'browser → Latchkey',
    'GET /zoom/oauth/callback',
    '200, code exchanged, tokens sealed and stored, host connected',
  )
}

/** Once per bot: a pass. */
async function createPass(demo: Demo): Promise<{ join_token_url: string; obf_token_url: string }> {
  const body = { meeting: `https://zoom.us/j/${MEETING}`, host: { external_user_id: 'user-42' } }
  const pass = await api(demo, 'POST', '/v1/passes', body, 201)
  tell(
    'backend → Latchkey',
    `POST /v1/passes ${JSON.stringify(body)}`,
    `201, URLs for the bot: ${Object.keys(pass.recall.zoom).join(', ')}`,
  )
  return pass
}

/** What Recall does just before a bot joins. */
async function fetchToken(demo: Demo, kind: string, url: string): Promise<void> {
  const answer = await demo.zoom.recallCall({ url, secret: demo.recallSecret })
  if (answer.status !== 200 || !answer.body)
    throw new Error(`the ${kind} URL answered ${answer.status}: ${answer.body}`)
  tell(
    'Recall → Latchkey',
    `GET the ${kind} token URL, signed`,
    `200 text/plain in ${Math.round(answer.duration_ms)} ms\n${answer.body}`,
  )
}

async function showRefusal(url: string): Promise<void> {
  const answer = await call(url)
  expectStatus(answer, 401, 'an unsigned request')
  tell('anyone → Latchkey', 'GET the same URL, unsigned', `401 ${JSON.parse(answer.text).code}`)
}

async function untilReady(baseUrl: string, service: ChildProcess): Promise<void> {
  const giveUpAt = Date.now() + READY_WITHIN_MS
  while (Date.now() < giveUpAt) {
    if (service.exitCode !== null) throw new Error('the service ended before it was ready')
    const ready = await call(`${baseUrl}/readyz`).catch(() => null)
    if (ready?.status === 200) return
    await delay(50)
  }
  throw new Error('the service did not become ready')
}

function startService(env: Record<string, string>): ChildProcess {
  const service = spawn(process.execPath, ['src/server.ts'], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log = createWriteStream(LOG_FILE)
  service.stdout?.pipe(log, { end: false })
  service.stderr?.pipe(log, { end: false })
  return service
}

function sayWhatNext(demo: Demo, pass: { join_token_url: string; obf_token_url: string }): void {
  say()
  say('Try it yourself:')
  say(`  ${demo.baseUrl}/docs                     the API, with examples`)
  say(`  ${demo.baseUrl}/zoom/oauth               connect another Zoom user in your browser`)
  say('  a bot’s request, signed as Recall signs it:')
  say(`    curl -s -X POST ${demo.zoom.url}/_sim/recall/call -H 'content-type: application/json' \\`)
  say(`      -d '{"url":"${pass.join_token_url}","secret":"${demo.recallSecret}"}'`)
  say('  what it minted:')
  say(`    curl -s ${demo.baseUrl}/v1/mints -H 'authorization: Bearer ${demo.operatorKey}'`)
  say(`  the service's log: ${LOG_FILE}`)
  say()
  say('Everything above is local: the Zoom, the Recall and every token are simulated. Ctrl-C ends it.')
}

async function run(isOnce: boolean, onStop: (stop: () => Promise<void>) => void): Promise<void> {
  mkdirSync(DATA_DIR, { recursive: true })
  say('Latchkey demo: a Zoom host connects, a bot gets its tokens.')
  say()
  const startedAt = performance.now()
  const postgres = await startEmbeddedPostgres({ dataDir: join(DATA_DIR, 'demo-postgres') })
  onStop(() => postgres.stop())
  tell('demo', 'starts an embedded Postgres', `ready after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  const zoom = await startSimulator({ port: await freePort(4010) })
  onStop(() => zoom.close())
  tell('demo', 'starts the Zoom and Recall simulators', zoom.url)
  const port = await freePort(4000)
  const demo: Demo = {
    baseUrl: `http://localhost:${port}`,
    operatorKey: randomBytes(24).toString('base64url'),
    recallSecret: `whsec_${randomBytes(32).toString('base64')}`,
    zoom,
  }
  const service = startService({
    NODE_ENV: 'development',
    HOST: '127.0.0.1',
    PORT: String(port),
    PUBLIC_BASE_URL: demo.baseUrl,
    METRICS_PORT: '0',
    DATABASE_URL: postgres.url,
    MIGRATE_ON_START: 'true',
    INSTALLATION_ID: 'demo',
    OPERATOR_API_KEY: demo.operatorKey,
    ZOOM_OAUTH_APP_CLIENT_ID: 'simulator-client-id',
    ZOOM_OAUTH_APP_CLIENT_SECRET: 'simulator-client-secret',
    ZOOM_OAUTH_BASE_URL: zoom.oauthBaseUrl,
    ZOOM_API_BASE_URL: zoom.apiBaseUrl,
    RECALL_VERIFICATION_SECRETS: demo.recallSecret,
  })
  onStop(() => stopService(service))
  await untilReady(demo.baseUrl, service)
  tell('demo', 'starts Latchkey (migrations, then requests)', demo.baseUrl)
  await connectHost(demo)
  const pass = await createPass(demo)
  await fetchToken(demo, 'join', pass.join_token_url)
  await fetchToken(demo, 'OBF', pass.obf_token_url)
  await showRefusal(pass.join_token_url)
  if (isOnce) {
    say('\nAll steps done.')
    return
  }
  sayWhatNext(demo, pass)
  await new Promise<void>((resolve, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve()) // npm passes Ctrl-C on twice
    service.once('exit', (code) => reject(new Error(`the service ended with status ${code}`)))
  })
}

async function stopService(service: ChildProcess): Promise<void> {
  if (service.exitCode !== null || service.signalCode !== null) return
  service.removeAllListeners('exit')
  const ended = new Promise((resolve) => service.once('exit', resolve))
  service.kill('SIGTERM')
  await ended
}

const stops: (() => Promise<void>)[] = []
try {
  await run(process.argv.includes('--once'), (stop) => stops.unshift(stop))
} catch (error) {
  process.exitCode = 1
  say(`\nThe demo failed: ${error instanceof Error ? error.message : 'unknown error'}`)
  const tail = readFileSync(LOG_FILE, { encoding: 'utf8', flag: 'a+' }).trimEnd().split('\n').slice(-8)
  if (tail.length > 0) say(`The last lines of ${LOG_FILE}:\n${tail.join('\n')}`)
}
for (const stop of stops) await stop()
