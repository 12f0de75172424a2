import { createServer, type Server } from 'node:http'
import type pg from 'pg'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { createGrantMetrics } from '../grants/metrics.ts'

/** Seconds. Around what decides: a bot's patience ends at 5 s, a mint that waits for nothing takes tens of milliseconds. */
const MINT_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5]

export type Metrics = ReturnType<typeof createMetrics>

/** The service's own registry. No label holds an id: their number would grow without bound. */
export function createMetrics(pools: () => Record<string, pg.Pool>) {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const mints = new Counter({
    name: 'latchkey_mints_total',
    help: 'Token requests of bots by kind and outcome (minted, or an error code).',
    labelNames: ['kind', 'outcome'] as const,
    registers,
  })
  const unsigned = new Counter({
    name: 'latchkey_unsigned_requests_total',
    help: 'Requests of bots that signature_mode observe let through without a signature.',
    labelNames: ['kind'] as const,
    registers,
  })
  const durations = new Histogram({
    name: 'latchkey_mint_duration_seconds',
    help: 'From the request of a bot to the outcome of its mint.',
    labelNames: ['kind'] as const,
    buckets: MINT_BUCKETS,
    registers,
  })
  new Gauge({
    name: 'latchkey_database_connections',
    help: 'Database connections by pool and state; waiting counts requests that wait for one.',
    labelNames: ['pool', 'state'] as const,
    registers,
    collect() {
      for (const [pool, { totalCount, idleCount, waitingCount }] of Object.entries(pools())) {
        this.set({ pool, state: 'busy' }, totalCount - idleCount)
        this.set({ pool, state: 'idle' }, idleCount)
        this.set({ pool, state: 'waiting' }, waitingCount)
      }
    },
  })
  const clockOffset = new Gauge({
    name: 'latchkey_clock_offset_seconds',
    help: 'How far this machine’s clock is ahead of the database’s, at the last look.',
    registers,
  })
  const deliveries = new Counter({
    name: 'latchkey_webhook_attempts_total',
    help: 'Attempts to deliver an event by what became of it: delivered, retried, failed (not tried again).',
    labelNames: ['outcome'] as const,
    registers,
  })
  const zoomEvents = new Counter({
    name: 'latchkey_zoom_events_total',
    help: 'Authentic events of Zoom by name (other: one that nothing is done about) and what became of them.',
    labelNames: ['event', 'outcome'] as const,
    registers,
  })
  const missedEvents = new Counter({
    name: 'latchkey_zoom_events_missed_total',
    help: 'Meetings that a sync alone has found although Zoom should have told of them by events.',
    registers,
  })
  const lookups = new Counter({
    name: 'latchkey_meeting_lookups_total',
    help: 'Searches for the host of an unmapped meeting by outcome: found, looked_up, lookup_incomplete, quota, mapping_deleted.',
    labelNames: ['outcome'] as const,
    registers,
  })
  const questions = new Counter({
    name: 'latchkey_meeting_lookup_questions_total',
    help: 'Questions to Zoom whether a meeting is a host’s, by answer: yes, no, no_scope, unknown.',
    labelNames: ['answer'] as const,
    registers,
  })
  return {
    registry,
    grants: createGrantMetrics(registry),
    countMint(kind: string, outcome: string, durationMs: number | null): void {
      mints.inc({ kind, outcome })
      if (durationMs !== null) durations.observe({ kind }, durationMs / 1000)
    },
    countDelivery: (outcome: 'delivered' | 'retried' | 'failed'): void => deliveries.inc({ outcome }),
    countZoomEvent: (event: string, outcome: string): void => zoomEvents.inc({ event, outcome }),
    countMissedEvents: (meetings: number): void => missedEvents.inc(meetings),
    countLookup: (outcome: string): void => lookups.inc({ outcome }),
    countLookupQuestion: (answer: string): void => questions.inc({ answer }),
    countUnsigned: (kind: string): void => unsigned.inc({ kind }),
    showClockOffset: (seconds: number): void => clockOffset.set(seconds),
  }
}

/** Serves `/metrics` on its own port, which must not be reachable from outside. */
export function createMetricsServer({ registry }: Pick<Metrics, 'registry'>): Server {
  const server = createServer({ headersTimeout: 5000, requestTimeout: 5000 }, async (request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end()
      return
    }
    try {
      const text = await registry.metrics()
      response.writeHead(200, { 'content-type': registry.contentType }).end(text)
    } catch {
      response.writeHead(500).end()
    }
  })
  return server
}
