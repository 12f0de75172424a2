import type { FastifyBaseLogger } from 'fastify'
import { type Sql, statement } from './lib/sql.ts'

const DATABASE_TIME = statement(
  'clock_database_time',
  'SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8 * 1000 AS "timeMs"',
)

// Recall's signatures hold for 300 s in either direction: at a tenth of that somebody has time to look
const ALARM_MS = 30_000
const LOOK_EVERY_MS = 30_000
const ALARM_EVERY_MS = 10 * 60_000

export interface ClockWatchDeps {
  sql: Sql
  log: Pick<FastifyBaseLogger, 'error' | 'info'>
  /** This machine's clock, as signatures are judged by it. */
  now: () => number
  monotonicNow: () => number
  /** Positive: this machine's clock is ahead of the database's. */
  show: (offsetSeconds: number) => void
}

/** Holds this machine's clock against the database's: one that runs away refuses good signatures, or takes old ones. */
export function createClockWatch({ sql, log, now, monotonicNow, show }: ClockWatchDeps) {
  let lookedAtMs = Number.NEGATIVE_INFINITY
  let alarmedAtMs = Number.NEGATIVE_INFINITY
  let isOff = false

  function judge(offsetMs: number, doubtMs: number): void {
    const wasOff = isOff
    isOff = Math.abs(offsetMs) - doubtMs > ALARM_MS
    const fields = { offset_seconds: Math.round(offsetMs / 1000) }
    if (wasOff && !isOff) log.info(fields, 'the clocks of this machine and of the database agree again')
    if (!isOff || (wasOff && monotonicNow() - alarmedAtMs < ALARM_EVERY_MS)) return
    alarmedAtMs = monotonicNow()
    log.error(fields, 'the clocks of this machine and of the database differ')
  }
  return {
    /** Asks at most twice a minute. @throws store_unavailable */
    async look(): Promise<void> {
      const beganMs = monotonicNow()
      if (beganMs - lookedAtMs < LOOK_EVERY_MS) return
      lookedAtMs = beganMs
      const [row] = await sql.rows<{ timeMs: number }>(DATABASE_TIME, [])
      if (!row) return
      // read somewhere between question and answer: half of that time is what the difference may be wrong by
      const doubtMs = (monotonicNow() - beganMs) / 2
      const offsetMs = now() - doubtMs - row.timeMs
      show(offsetMs / 1000)
      judge(offsetMs, doubtMs)
    },
  }
}
