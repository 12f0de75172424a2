import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { type Simulator, startSimulator } from '../../simulator/server.ts'
import { createGrantCipher } from '../../src/grants/cipher.ts'
import { createLocalKeyring } from '../../src/lib/sealing.ts'
import { createSql } from '../../src/lib/sql.ts'
import { createSecretBox } from '../../src/secrets/box.ts'
import { type PostgresProxy, startPostgresProxy } from '../helpers/postgres-proxy.ts'
import { type Fleet, startFleet } from './fleet.ts'
import { faultOf, type GrantTruth, truthOf } from './invariant.ts'
import { createPopulation, type Member, type Population } from './population.ts'
import { createRandom, type Random } from './random.ts'

const CLIENT_ID = 'simulator-client-id'

export interface SoakOptions {
  /** A migrated database, directly. */
  databaseUrl: string
  seconds: number
  seed: number
  replicas: number
  hosts: number
  say?: (line: string) => void
}

export interface SoakReport {
  kills: number
  freezes: number
  rollingRestarts: number
  databaseCuts: number
  zoomFaults: number
  refreshes: number
  mints: number
  refused: Record<string, number>
  /** Rotations lost and said so: `reconnect_required` with `rotation_lost`. */
  lost: number
  mislabelled: string[]
}

interface Run {
  random: Random
  zoom: Simulator
  proxy: PostgresProxy
  fleet: Fleet
  population: Population
  members: Member[]
  direct: pg.Pool
  truths: () => Promise<Map<string, GrantTruth>>
  report: SoakReport
  isOver: () => boolean
}

const refreshFaults = [
  { effect: 'before', action: { type: 'cut' } },
  { effect: 'before', action: { type: 'reset' } },
  { effect: 'after', action: { type: 'reset' } },
  { effect: 'before', action: { type: 'hang' } },
  { effect: 'before', action: { type: 'html' } },
  { effect: 'before', action: { type: 'delay', ms: 3000 } },
  { effect: 'never', action: { type: 'status', status: 500 } },
  { effect: 'before', action: { type: 'status', status: 502 } },
  { effect: 'never', action: { type: 'status', status: 429, headers: { 'retry-after': '2' } } },
] as const

/** What goes wrong next, by the seed: mostly kills, now and then everything else. */
async function oneEvent({ random, fleet, zoom, proxy, direct, report }: Run): Promise<void> {
  const dice = random.next()
  if (dice < 0.6) {
    if (await fleet.kill()) report.kills += 1
  } else if (dice < 0.66) {
    report.freezes += 1
    await fleet.freeze(random.next() < 0.2 ? 47_000 : random.between(1000, 9000)) // 47 s: past the lease
  } else if (dice < 0.7) {
    report.rollingRestarts += 1
    await fleet.roll()
  } else if (dice < 0.76) {
    report.databaseCuts += 1
    if (random.next() < 0.5) return void (await terminateBackends(direct))
    proxy.cut()
    await delay(random.between(200, 3000))
    proxy.open()
  } else {
    report.zoomFaults += 1
    const fault = random.pick(refreshFaults)
    zoom.setFault({ match: { grant_type: 'refresh_token' }, times: random.between(1, 3), ...fault } as never)
  }
}

async function terminateBackends(direct: pg.Pool): Promise<void> {
  await direct.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'latchkey' AND pid <> pg_backend_pid()`,
  )
}

/** Bots of one host: each request may find the process dead, the grant lost, or a token. */
async function botsOf(member: Member, run: Run): Promise<void> {
  const { population, report, random, isOver } = run
  while (!isOver()) {
    await delay(random.between(200, 900))
    const answer = await population.mint(member)
    if (answer === 200) report.mints += 1
    else report.refused[String(answer ?? 'cut off')] = (report.refused[String(answer ?? 'cut off')] ?? 0) + 1
    if (answer === 'reconnect_required') await reconnect(member, run)
  }
}

/** Notes why the host was lost, and sends it through the connect flow again. */
async function reconnect(member: Member, run: Run): Promise<void> {
  const { population, truths, report } = run
  const found = (await truths()).get(member.zoomUserId)
  const fault = found ? faultOf(found) : 'the grant is gone'
  if (fault) report.mislabelled.push(`${member.name}: ${fault}`)
  else report.lost += 1
  while (!run.isOver() && !(await population.connect(member))) await delay(300)
}

/** Access tokens run out all the time, so that refreshes happen all the time. */
async function expireNowAndThen({ direct, random, isOver, members }: Run): Promise<void> {
  while (!isOver()) {
    await delay(150)
    const { zoomUserId } = random.pick(members)
    await direct
      .query(
        `UPDATE grant_tokens SET access_expires_at = clock_timestamp()
          WHERE grant_id IN (SELECT id FROM grants WHERE zoom_user_id = $1)`,
        [zoomUserId],
      )
      .catch(() => undefined)
  }
}

/** Everything whole again: leases run out, every host mints or says why not; then database and Zoom are compared. */
async function settle({ zoom, proxy, direct, population, members, truths, report }: Run): Promise<void> {
  zoom.clearFaults()
  proxy.open()
  await delay(2000)
  await direct.query(`UPDATE grant_tokens SET lease_until = NULL`)
  await direct.query(`UPDATE grant_tokens SET access_expires_at = clock_timestamp()`)
  for (const member of members) {
    for (let tries = 0; tries < 20; tries++) {
      const answer = await population.mint(member)
      if (answer === 200 || answer === 'reconnect_required') break
      await delay(500)
    }
  }
  for (const [user, truth] of await truths()) {
    const fault = faultOf(truth)
    if (fault) report.mislabelled.push(`${user}: ${fault}`)
    else if (truth.status === 'reconnect_required') report.lost += 1
  }
}

/** Runs replicas under load while they, their database and their Zoom fail by the seed, and counts what was lost. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const { databaseUrl, seconds, seed, say = () => {} } = options
  const random = createRandom(seed)
  const zoom = await startSimulator({})
  const proxy = await startPostgresProxy(databaseUrl)
  const key = randomBytes(32)
  const settings = {
    DATABASE_URL: proxy.url,
    ENCRYPTION_KEYS: `soak:${key.toString('base64')}`,
    OPERATOR_API_KEY: randomBytes(24).toString('base64url'),
    RECALL_VERIFICATION_SECRETS: `whsec_${randomBytes(32).toString('base64')}`,
    ZOOM_OAUTH_APP_CLIENT_ID: CLIENT_ID,
    ZOOM_OAUTH_APP_CLIENT_SECRET: 'simulator-client-secret',
    ZOOM_OAUTH_BASE_URL: zoom.oauthBaseUrl,
    ZOOM_API_BASE_URL: zoom.apiBaseUrl,
    LOG_LEVEL: 'fatal',
  }
  const direct = new pg.Pool({ connectionString: databaseUrl, max: 4 })
  direct.on('error', () => undefined)
  const fleet = await startFleet(options.replicas, settings, random)
  const { OPERATOR_API_KEY: operatorKey, RECALL_VERIFICATION_SECRETS: recallSecret } = settings
  const population = createPopulation({ fleet, zoom, operatorKey, recallSecret })
  const sql = createSql(direct)
  const cipher = createGrantCipher(createSecretBox({ sql, keyring: createLocalKeyring([{ kid: 'soak', key }]) }))
  const members: Member[] = []
  for (let index = 0; index < options.hosts; index++) members.push(await population.add(index))
  say(`seed ${seed}: ${options.replicas} replicas, ${members.length} hosts, ${seconds} s`)
  const endAt = performance.now() + seconds * 1000
  const run: Run = {
    random,
    zoom,
    proxy,
    fleet,
    population,
    members,
    direct,
    truths: () => truthOf({ sql, cipher }, (user) => zoom.liveRefreshToken(user, CLIENT_ID)),
    isOver: () => performance.now() >= endAt,
    report: emptyReport(),
  }
  const load = [...members.map((member) => botsOf(member, run)), expireNowAndThen(run)]
  const events: Promise<void>[] = []
  const started = performance.now()
  for (let next = started + 60_000; !run.isOver(); ) {
    await delay(random.between(2000, 4000))
    events.push(oneEvent(run)) // several at once, as it happens
    if (performance.now() < next) continue
    next += 60_000
    say(
      `${Math.round((performance.now() - started) / 60_000)} min: ${JSON.stringify({ ...run.report, refreshes: zoom.refreshes })}`,
    )
  }
  await Promise.all([...load, ...events])
  await settle(run)
  run.report.refreshes = zoom.refreshes
  await fleet.end()
  await direct.end()
  await proxy.close()
  await zoom.close()
  return run.report
}

const emptyReport = (): SoakReport => ({
  kills: 0,
  freezes: 0,
  rollingRestarts: 0,
  databaseCuts: 0,
  zoomFaults: 0,
  refreshes: 0,
  mints: 0,
  refused: {},
  lost: 0,
  mislabelled: [],
})
