import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startDatabase } from './database.ts'
import type { LoadOrder } from './load.ts'
import { countStatements, measureMemory, measureThroughput, type Pair } from './phases.ts'
import {
  CORES,
  leaveMeasuredCore,
  type Measured,
  startForwarder,
  startLoad,
  startService,
  startStandIn,
} from './processes.ts'
import { memoryLines, pairLines, ratioLine, statementLines, throughputHeading } from './report.ts'
import { createSeeder, makeSecrets, serviceEnvironment } from './seed.ts'

const PHASES = ['throughput', 'statements', 'memory']
const USAGE = `npm run bench -- [--quick] [--only PHASE]… [--json FILE] [--node-option=OPTION]…

  --quick        about half a minute: shorter rounds, fewer mints; for a look, not for a figure
  --only         ${PHASES.join(', ')}
  --json FILE    writes everything that was measured
  --node-option  for the measured service, such as --cpu-prof`

const FULL = {
  pairs: 5,
  durationMs: 10_000,
  warmUpRequests: 20_000,
  countedMints: 10_000,
  memoryMints: 100_000,
  passes: 2000,
}
const QUICK = { pairs: 3, durationMs: 2000, warmUpRequests: 3000, countedMints: 1000, memoryMints: 8000, passes: 300 }
const CONNECTIONS = 32
const HOSTS = 10

interface Options {
  plan: typeof FULL
  phases: string[]
  json: string | undefined
  nodeOptions: string[]
}
type OnStop = (stop: () => Promise<void>) => void

const say = (...lines: string[]) => process.stdout.write(`${lines.join('\n')}\n`)

/** Everything but the service under test, which each phase starts afresh. */
async function setUp({ nodeOptions, plan }: Options, isPinned: boolean, onStop: OnStop) {
  const database = await startDatabase()
  onStop(() => database.stop())
  const zoom = await startStandIn()
  onStop(() => zoom.stop())
  const load = startLoad()
  onStop(() => load.stop())
  const secrets = makeSecrets()
  const env = serviceEnvironment(database.url, zoom.origin, secrets)
  const logFile = join(database.folder, 'service.log')
  async function withService<T>(use: (service: Measured) => Promise<T>): Promise<T> {
    const service = await startService({ isPinned, env, logFile, nodeOptions })
    onStop(service.stop)
    return await use(service).finally(service.stop)
  }
  const paths = await withService(async ({ port }) => {
    const seeder = createSeeder(port, secrets)
    return await seeder.createPasses(plan.passes, await seeder.connectHosts(HOSTS))
  })
  await database.analyze()
  const order = { connections: CONNECTIONS, paths, recallSecret: secrets.recallSecret }
  return { database, zoom, load, order, withService }
}

type Bench = Awaited<ReturnType<typeof setUp>> & { order: Omit<LoadOrder, 'port'> }

async function throughput({ zoom, load, order, withService }: Bench, plan: Options['plan'], isPinned: boolean) {
  say(throughputHeading())
  const result = await withService(async (service) => {
    const forwarder = await startForwarder(isPinned, zoom.origin)
    const options = { ...plan, onPair: (pair: Pair) => say(...pairLines(pair)) }
    return await measureThroughput(load, { service, forwarder }, order, options).finally(forwarder.stop)
  })
  say(ratioLine(result), '')
  return result
}

async function statements({ database, zoom, load, order, withService }: Bench, plan: Options['plan']) {
  await database.logStatements()
  const result = await withService((service) =>
    countStatements(load, { service, zoom, database }, order, plan.countedMints),
  )
  await database.logNoStatements()
  say(...statementLines(result), '')
  return result
}

async function memory({ zoom, load, order, withService }: Bench, plan: Options['plan']) {
  const result = await withService((service) => measureMemory(load, { service, zoom }, order, plan.memoryMints))
  say(...memoryLines(result))
  return result
}

async function run(options: Options, onStop: OnStop): Promise<void> {
  const { plan, phases, json } = options
  const isPinned = leaveMeasuredCore()
  say(
    `${CORES} cores, load ${loadavg()[0]?.toFixed(1)}, Node ${process.version}, ${CONNECTIONS} connections`,
    isPinned ? 'core 0: what is measured; the others: all else' : 'not pinned: no taskset, or one core only',
    '',
  )
  const bench = await setUp(options, isPinned, onStop)
  const results = {
    isPinned,
    connections: CONNECTIONS,
    throughput: phases.includes('throughput') ? await throughput(bench, plan, isPinned) : null,
    statements: phases.includes('statements') ? await statements(bench, plan) : null,
    memory: phases.includes('memory') ? await memory(bench, plan) : null,
  }
  if (json) writeFileSync(json, `${JSON.stringify(results, null, 2)}\n`)
}

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: PHASES },
    json: { type: 'string' },
    'node-option': { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
})
const stops: (() => Promise<void>)[] = []
async function stopAll(): Promise<void> {
  for (const stop of stops.splice(0)) await stop()
}
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => stopAll().finally(() => process.exit(130)))

if (values.help) say(USAGE)
else {
  const { quick, only: phases, json, 'node-option': nodeOptions } = values
  const options = { plan: quick ? QUICK : FULL, phases, json, nodeOptions }
  await run(options, (stop) => stops.unshift(stop)).catch((error: unknown) => {
    process.exitCode = 1
    say(`The bench could not run: ${error instanceof Error ? error.message : 'unknown error'}`)
  })
  await stopAll()
}
