import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { buildApp } from '../app.ts'
import type { ImportResult } from '../features/hosts/import-outcome.ts'
import { jitter, sleep } from '../lib/deadline.ts'
import type { Services } from '../services.ts'
import { parseSource, type Source, type SourceRow } from './import-sources.ts'
import { createProgress, type Terminal } from './progress.ts'

export interface ImportOptions {
  tenant?: string | undefined
  dryRun?: boolean | undefined
  /** The field of a JSON source that holds the external_user_id, by its path. */
  externalUserId?: string | undefined
}

type Env = Record<string, string | undefined>

/** A row and how its import ended; null: not tried yet. */
interface Job extends SourceRow {
  result: ImportResult | null
}

// two turns of what the service imports at once: an interruption waits for few
const BATCH = 16
const MOST_ROUNDS = 6
/** Longer than a claim lives: what a killed import had under way can be recovered within one round. */
const LONGEST_PAUSE_SECONDS = 60
const SHOWN_PROBLEMS = 50
const VERIFIED_AT_ONCE = 8
const IMPORTER = { actor: 'cli', requestId: null }

/**
 * Imports the hosts of a file through the same service as the API, and proves the outcome. May be killed and run again: what was
 * redeemed is not redeemed again. False where anything was refused, rejected or left.
 * @throws StartError, not_found for an unknown tenant, app_not_configured, foreign_database, store_unavailable
 */
export async function importFile(
  env: Env,
  { source, file, options }: { source: Source; file: string; options: ImportOptions },
  terminal: Terminal,
  signal: AbortSignal,
): Promise<boolean> {
  const content = file === '-' ? await text(process.stdin) : await readFile(file, 'utf8')
  const { rows, problems, skipped } = parseSource(source, content, options.externalUserId)
  const { say } = terminal
  if (problems.length > 0) {
    for (const problem of problems.slice(0, SHOWN_PROBLEMS)) say(problem)
    say(`${problems.length} of the file’s rows cannot be imported. Nothing was sent; mend the file and run it again.`)
    return false
  }
  // the log of what is stored goes beside the report, not into it
  const built = await buildApp({
    env: { ...env, LOG_LEVEL: env.LOG_LEVEL ?? 'error' },
    logStream: { write: (line: string) => void process.stderr.write(line) },
  })
  try {
    await built.prepare()
    const tenantId = await built.services.tenants.resolve(options.tenant)
    say(`${rows.length} hosts to import, ${skipped} disconnected ones passed over.`)
    if (options.dryRun) return await preview(built.services, tenantId, rows, say)
    return await importRows(built.services, tenantId, rows, terminal, signal)
  } finally {
    await built.app.close()
  }
}

async function preview(services: Services, tenantId: string, rows: SourceRow[], say: Terminal['say']) {
  const found = await services.imports.preview(tenantId, rows)
  const refused = rows.flatMap(({ place, externalUserId }, index) => {
    const { state, code } = found[index] ?? {}
    return state === 'refused' ? [`  ${place}  ${JSON.stringify(externalUserId)}  ${code}`] : []
  })
  const count = (wanted: string) => found.filter(({ state }) => state === wanted).length
  say(`Dry run, nothing was sent to Zoom: ${count('new')} would be redeemed, ${count('known')} were imported before,`)
  say(`${refused.length} would be refused. Whether Zoom takes a token shows only when it is redeemed.`)
  for (const line of refused) say(line)
  return refused.length === 0
}

async function importRows(
  services: Services,
  tenantId: string,
  rows: SourceRow[],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<boolean> {
  const jobs: Job[] = rows.map((row) => ({ ...row, result: null }))
  const progress = createProgress(terminal, jobs.length)
  const show = () => progress.show(jobs.filter(isSettled).length, summary(jobs))
  for (let round = 1; round <= MOST_ROUNDS && !signal.aborted; round++) {
    const open = jobs.filter((job) => !isSettled(job))
    if (open.length === 0) break
    if (round > 1) await pause(open, round, signal)
    for (let from = 0; from < open.length && !signal.aborted; from += BATCH) {
      const batch = open.slice(from, from + BATCH)
      const results = await services.imports.importHosts(tenantId, batch, IMPORTER)
      for (const [index, job] of batch.entries()) job.result = results[index] ?? null
      show()
    }
  }
  progress.end()
  const isVerified = signal.aborted || (await verify(services, tenantId, jobs, terminal))
  report(jobs, signal, terminal.say)
  return isVerified && jobs.every(({ result }) => result?.status === 'connected')
}

const isSettled = ({ result }: Job) => result !== null && result.status !== 'deferred'
const withStatus = (jobs: Job[], status: ImportResult['status']) =>
  jobs.filter(({ result }) => result?.status === status)
const summary = (jobs: Job[]) =>
  `connected ${withStatus(jobs, 'connected').length}, rejected ${withStatus(jobs, 'rejected').length}, deferred ${withStatus(jobs, 'deferred').length}`

/** As long as Zoom, or a claim that a killed import left, asks for; longer with each round. */
async function pause(open: Job[], round: number, signal: AbortSignal): Promise<void> {
  const asked = Math.max(...open.map(({ result }) => result?.retryAfterSeconds ?? 0))
  const seconds = Math.min(LONGEST_PAUSE_SECONDS, Math.max(asked, 2 ** (round - 2)))
  await sleep(jitter(seconds * 1000, seconds * 1250), signal).catch(() => {}) // an interruption ends it
}

/** Reads each host back, and lets Zoom take its access token. A host whose access token has ended since is not renewed for that. */
async function verify(services: Services, tenantId: string, jobs: Job[], { say }: Terminal): Promise<boolean> {
  const connected = withStatus(jobs, 'connected')
  const unproven: string[] = []
  let asleep = 0
  async function verifyOne({ place, externalUserId, result }: Job): Promise<void> {
    const host = await services.hosts.byId(tenantId, result?.hostId ?? '')
    const isThere = host?.externalUserId === externalUserId && host.status === 'connected'
    const proof = isThere ? await services.redeemer.prove(host.grantId) : 'unproven'
    if (proof === 'asleep') asleep += 1
    if (proof === 'unproven') unproven.push(`  ${place}  ${JSON.stringify(externalUserId)}`)
  }
  for (let from = 0; from < connected.length; from += VERIFIED_AT_ONCE)
    await Promise.all(connected.slice(from, from + VERIFIED_AT_ONCE).map(verifyOne))
  const proven = connected.length - asleep - unproven.length
  say(`Verified: ${connected.length} hosts read back, Zoom took ${proven} of their access tokens;`)
  say(`${asleep} have ended since and are renewed when a bot needs them, ${unproven.length} could not be proven.`)
  for (const line of unproven) say(line)
  return unproven.length === 0
}

function report(jobs: Job[], signal: AbortSignal, say: Terminal['say']): void {
  const line = ({ place, externalUserId, result }: Job) =>
    `  ${place}  ${JSON.stringify(externalUserId)}  ${result?.code ?? 'not tried'}`
  const rejected = withStatus(jobs, 'rejected')
  const left = jobs.filter((job) => !isSettled(job))
  if (signal.aborted) say('Interrupted. What was under way has been finished; run it again to go on.')
  if (rejected.length > 0) say(`Rejected: ${rejected.length}. These users must connect Zoom again.`)
  for (const job of rejected) say(line(job))
  if (left.length > 0) say(`Left: ${left.length}. Run it again.`)
  for (const job of left) say(line(job))
  say(`${jobs.length} hosts: ${summary(jobs)}.`)
}
