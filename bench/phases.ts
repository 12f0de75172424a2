import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from './database.ts'
import type { LoadOrder, LoadResult } from './load.ts'
import type { Load, Measured, StandIn } from './processes.ts'
import { otherCoresTimes, usageOf } from './usage.ts'

export interface Round {
  perSecond: number
  cpuMicrosPerRequest: number
  /** Of one core: well below 1, something else was in the way, and the ratio of CPU times is the one to read. */
  coreShare: number
  generatorShare: number
  /** Of the other cores, by everybody: near 1, database and generator were the limit. */
  otherCoresShare: number
  failed: Record<string, number>
}

export interface Pair {
  service: Round
  forwarder: Round
  throughputRatio: number
  cpuRatio: number
}

export interface Throughput {
  pairs: Pair[]
  medianThroughputRatio: number
  medianCpuRatio: number
}

export interface Statements {
  mints: number
  zoomRequestsPerMint: number
  databaseStatementsPerMint: number
  byName: Record<string, { count: number; perMint: number }>
}

export interface Memory {
  mints: number
  startMb: number
  samples: { mints: number; rssMb: number }[]
  peakMb: number
  zoomRequestsPerMint: number
  failed: Record<string, number>
}

type Orders = Pick<LoadOrder, 'connections' | 'paths' | 'recallSecret'>

// outcomes are written within half a second of their mint; a look at the database before that would miss some
const OUTCOMES_WRITTEN_MS = 1500
const MEMORY_STEPS = 20

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number) => sorted[index] ?? 0
  return (at(Math.floor((sorted.length - 1) / 2)) + at(Math.floor(sorted.length / 2))) / 2
}

async function measure(load: Load, target: Measured, order: Orders, durationMs: number): Promise<Round> {
  const [before, coresBefore] = [usageOf(target.pid), otherCoresTimes()]
  const { ok, failed, elapsedMs, generatorShare } = await load.run({ ...order, port: target.port, durationMs })
  const [after, coresAfter] = [usageOf(target.pid), otherCoresTimes()]
  const cpuMs = after.cpuMs - before.cpuMs
  const otherCoresShare = (coresAfter.busyMs - coresBefore.busyMs) / (coresAfter.allMs - coresBefore.allMs)
  if (ok === 0) throw new Error(`no request succeeded: ${JSON.stringify(failed)}`)
  const perSecond = (ok * 1000) / elapsedMs
  const cpuMicrosPerRequest = (cpuMs * 1000) / ok
  return { perSecond, cpuMicrosPerRequest, coreShare: cpuMs / elapsedMs, generatorShare, otherCoresShare, failed }
}

export interface ThroughputOptions {
  pairs: number
  durationMs: number
  /** Sent to each before anything is measured: code that has run a few thousand times runs several times as fast. */
  warmUpRequests: number
  onPair: (pair: Pair) => void
}

/** Service and forwarder in turn, so that what else this machine does falls on both. */
export async function measureThroughput(
  load: Load,
  targets: { service: Measured; forwarder: Measured },
  order: Orders,
  { pairs: pairCount, durationMs, warmUpRequests, onPair }: ThroughputOptions,
): Promise<Throughput> {
  for (const { port } of [targets.service, targets.forwarder])
    await load.run({ ...order, port, requests: warmUpRequests })
  const pairs: Pair[] = []
  for (let index = 0; index < pairCount; index += 1) {
    const service = await measure(load, targets.service, order, durationMs)
    const forwarder = await measure(load, targets.forwarder, order, durationMs)
    const throughputRatio = service.perSecond / forwarder.perSecond
    const cpuRatio = forwarder.cpuMicrosPerRequest / service.cpuMicrosPerRequest
    const pair = { service, forwarder, throughputRatio, cpuRatio }
    pairs.push(pair)
    onPair(pair)
  }
  return {
    pairs,
    medianThroughputRatio: median(pairs.map((pair) => pair.throughputRatio)),
    medianCpuRatio: median(pairs.map((pair) => pair.cpuRatio)),
  }
}

function demandAllOk({ ok, failed }: LoadResult, requests: number): void {
  if (ok !== requests) throw new Error(`${ok} of ${requests} requests succeeded: ${JSON.stringify(failed)}`)
}

/** On a service just started, whose sessions log their statements: what it sends until and while it mints. */
export async function countStatements(
  load: Load,
  { service, zoom, database }: { service: Measured; zoom: StandIn; database: Database },
  order: Orders,
  mints: number,
): Promise<Statements> {
  await delay(OUTCOMES_WRITTEN_MS)
  const statementsBefore = database.countStatements()
  const callsBefore = await zoom.calls()
  demandAllOk(await load.run({ ...order, port: service.port, requests: mints }), mints)
  await delay(OUTCOMES_WRITTEN_MS)
  const calls = await zoom.calls()
  const rows = [...database.countStatements()]
    .map(([name, count]) => ({ name, count: count - (statementsBefore.get(name) ?? 0) }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count)
  const total = rows.reduce((sum, { count }) => sum + count, 0)
  const zoomRequests = calls.mints - callsBefore.mints + calls.grants - callsBefore.grants
  return {
    mints,
    zoomRequestsPerMint: zoomRequests / mints,
    databaseStatementsPerMint: total / mints,
    byName: Object.fromEntries(rows.map(({ name, count }) => [name, { count, perMint: count / mints }])),
  }
}

/** Resident memory of a service just started, over this many mints. */
export async function measureMemory(
  load: Load,
  { service, zoom }: { service: Measured; zoom: StandIn },
  order: Orders,
  mints: number,
): Promise<Memory> {
  const startMb = usageOf(service.pid).rssMb
  const callsBefore = await zoom.calls()
  const samples: Memory['samples'] = []
  const failed: Memory['failed'] = {}
  let [minted, peakMb] = [0, startMb]
  const sampler = setInterval(() => {
    peakMb = Math.max(peakMb, usageOf(service.pid).rssMb)
  }, 100)
  try {
    for (let step = 0; step < MEMORY_STEPS; step += 1) {
      const requests = Math.ceil(mints / MEMORY_STEPS)
      const result = await load.run({ ...order, port: service.port, requests })
      minted += result.ok
      for (const [what, count] of Object.entries(result.failed)) failed[what] = (failed[what] ?? 0) + count
      samples.push({ mints: minted, rssMb: usageOf(service.pid).rssMb })
    }
  } finally {
    clearInterval(sampler)
  }
  const calls = await zoom.calls()
  const zoomRequests = calls.mints - callsBefore.mints + calls.grants - callsBefore.grants
  return { mints: minted, startMb, samples, peakMb, zoomRequestsPerMint: zoomRequests / minted, failed }
}
