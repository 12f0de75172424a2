import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { type Simulator, startSimulator } from '../../simulator/server.ts'
import { createGrantCipher } from '../../src/grants/cipher.ts'
import { createLocalKeyring } from '../../src/lib/sealing.ts'
import { createSql } from '../../src/lib/sql.ts'
import { createSecretBox } from '../../src/secrets/box.ts'
import { startPostgresProxy } from '../helpers/postgres-proxy.ts'
import { oneEvent, type Stage } from './events.ts'
import { startFleet } from './fleet.ts'
import { faultOf, type GrantTruth, truthOf } from './invariant.ts'
import { createLossJudge, persistently } from './losses.ts'
import { createPopulation, type Member, type Population } from './population.ts'
import { createRandom } from './random.ts'
import { emptyReport, type SoakReport } from './report.ts'

const CLIENT_ID = 'simulator-client-id'

export interface SoakOptions {
  /** A migrated database, directly. */
  databaseUrl: string
  seconds: number
  seed: number
  replicas: number
  hosts: number
  /** Zoom revokes a grant whose dead refresh token is used again. */
  familyRevocation?: boolean
  restartDatabase?: (awayMs: number) => Promise<void>
  say?: (line: string) => void
}

interface Run extends Stage {
  population: Population
  members: Member[]
  truths: () => Promise<Map<string, GrantTruth>>
  /** Losses that were counted, by grant and generation: each host may hear of one several times. */
  noted: Set<string>
  isOver: () => boolean
}

/** Bots of one host: each request may find the process dead, the grant lost, or a token. */
async function botsOf(member: Member, run: Run): Promise<void> {
  const { population, report, random, isOver } = run
  while (!isOver()) {
    await delay(random.between(200, 900))
    const answer = await population.mint(member)
    if (answer === 200) report.mints += 1
    else report.refused[answer] = (report.refused[answer] ?? 0) + 1
    if (answer === 'reconnect_required') await reconnect(member, run)
  }
}

/** Notes why the host was lost, and sends it through the connect flow again. */
async function reconnect(member: Member, run: Run): Promise<void> {
  const found = (await run.truths()).get(member.zoomUserId)
  if (found) await judge(member.zoomUserId, found, run)
  while (!run.isOver() && !(await run.population.connect(member))) await delay(300)
}

/** Counts a loss once, with its cause, or a breach of the invariant. */
async function judge(zoomUserId: string, truth: GrantTruth, run: Run): Promise<void> {
  const { report, noted } = run
  const key = `${zoomUserId} ${truth.gen}`
  if (truth.status !== 'reconnect_required' && faultOf(truth) === null) return
  if (noted.has(key)) return
  noted.add(key)
  const fault = faultOf(truth)
  if (fault) {
    const kind = truth.status === 'connected' ? report.silent : report.mislabelled
    kind.push(`${zoomUserId}, generation ${truth.gen}: ${fault}`)
    return
  }
  report.lost += 1
  const cause = await run.judge.causeOf(zoomUserId)
  if (typeof cause === 'string') report.lostBy[cause] += 1
  else report.unexcused.push(`${zoomUserId}, generation ${truth.gen}: ${cause.unexcused}`)
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
async function settle(run: Run): Promise<void> {
  const { zoom, proxy, direct, population, members, truths, report } = run
  zoom.clearFaults()
  proxy.open()
  await delay(2000)
  const endLeases = `UPDATE grant_tokens SET lease_until = NULL, access_expires_at = clock_timestamp()`
  await persistently(() => direct.query(endLeases))
  for (const member of members) {
    for (let tries = 0; tries < 120; tries++) {
      const answer = await population.mint(member)
      if (answer === 200 || answer === 'reconnect_required') break
      await delay(500)
    }
  }
  for (const [user, truth] of await truths()) {
    await judge(user, truth, run)
    if (truth.isIntentOpen && truth.status === 'connected') report.atTheEnd.intentOpen += 1
    else if (truth.status === 'connected') report.atTheEnd.connected += 1
    else if (truth.reason === 'rotation_lost') report.atTheEnd.rotationLost += 1
  }
}

function settingsFor({ zoom, databaseUrl, key }: { zoom: Simulator; databaseUrl: string; key: Buffer }) {
  return {
    DATABASE_URL: databaseUrl,
    ENCRYPTION_KEYS: `soak:${key.toString('base64')}`,
    OPERATOR_API_KEY: randomBytes(24).toString('base64url'),
    RECALL_VERIFICATION_SECRETS: `whsec_${randomBytes(32).toString('base64')}`,
    ZOOM_OAUTH_APP_CLIENT_ID: CLIENT_ID,
    ZOOM_OAUTH_APP_CLIENT_SECRET: 'simulator-client-secret',
    ZOOM_OAUTH_BASE_URL: zoom.oauthBaseUrl,
    ZOOM_API_BASE_URL: zoom.apiBaseUrl,
    LOG_LEVEL: 'fatal',
  }
}

/** Runs replicas under load while they, their database and their Zoom fail by the seed, and counts what was lost. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const { databaseUrl, seconds, seed, familyRevocation = false, say = () => {} } = options
  const random = createRandom(seed)
  const modes = { familyRevocation, refreshKillsAccessToken: random.next() < 0.5, latencyMs: random.between(0, 60) }
  const zoom = await startSimulator({ modes })
  const proxy = await startPostgresProxy(databaseUrl)
  const key = randomBytes(32)
  const settings = settingsFor({ zoom, databaseUrl: proxy.url, key })
  const seesAll = '-c app.across_tenants=on' // the owner's own way past row-level security
  const direct = new pg.Pool({ connectionString: databaseUrl, max: 4, options: seesAll })
  direct.on('error', () => undefined)
  const fleet = await startFleet(options.replicas, settings, random)
  const { OPERATOR_API_KEY: operatorKey, RECALL_VERIFICATION_SECRETS: recallSecret } = settings
  const population = createPopulation({ fleet, zoom, operatorKey, recallSecret })
  const members: Member[] = []
  for (let index = 0; index < options.hosts; index++) members.push(await population.add(index))
  say(
    `seed ${seed}: ${options.replicas} replicas, ${members.length} hosts, ${seconds} s, Zoom ${JSON.stringify(modes)}`,
  )
  const sql = createSql(direct)
  const cipher = createGrantCipher(
    createSecretBox({ sql, removals: sql, keyring: createLocalKeyring([{ kid: 'soak', key }]) }),
  )
  const endAt = performance.now() + seconds * 1000
  const run: Run = {
    random,
    zoom,
    proxy,
    fleet,
    population,
    members,
    direct,
    judge: await createLossJudge({ direct, proxyUrl: proxy.url, zoom, fleet }),
    restartDatabase: options.restartDatabase,
    mayEndLeases: !familyRevocation,
    truths: () => persistently(() => truthOf({ sql, cipher }, (user) => zoom.liveRefreshToken(user, CLIENT_ID))),
    noted: new Set(),
    isOver: () => performance.now() >= endAt,
    report: emptyReport(),
  }
  await strain(run, say)
  await settle(run)
  tally(run)
  await fleet.end()
  await direct.end()
  await proxy.close()
  await zoom.close()
  return run.report
}

const tally = ({ report, zoom, judge }: Run) =>
  Object.assign(report, { refreshes: zoom.refreshes, longestLivedMs: judge.longestLivedMs() })

/** Load and mishaps until the time is over, with a line a minute; resolves when the last mishap is mended. */
async function strain(run: Run, say: (line: string) => void): Promise<void> {
  const { random, members } = run
  const load = [
    ...members.map((member) => botsOf(member, run)),
    expireNowAndThen(run),
    run.judge.watchDatabase(run.isOver),
  ]
  const events: Promise<void>[] = []
  const startedAt = performance.now()
  for (let nextLineAt = startedAt + 60_000; !run.isOver(); ) {
    await delay(random.between(2000, 4000))
    events.push(oneEvent(run)) // several at once, as it happens
    if (performance.now() < nextLineAt) continue
    nextLineAt += 60_000
    const minutes = Math.round((performance.now() - startedAt) / 60_000)
    say(`${minutes} min: ${JSON.stringify(tally(run))}`)
  }
  await Promise.all([...load, ...events])
}
