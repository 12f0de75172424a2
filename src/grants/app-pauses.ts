import type { FastifyBaseLogger } from 'fastify'
import { type Sql, statement } from '../lib/sql.ts'

const PAUSED = statement(
  'zoom_app_paused',
  `UPDATE zoom_apps SET paused_at = clock_timestamp() WHERE id = $1 AND paused_at IS NULL`,
)
const RESUMED = statement(
  'zoom_app_resumed',
  `UPDATE zoom_apps SET paused_at = NULL WHERE id = $1 AND paused_at IS NOT NULL`,
)

export interface AppPauses {
  /** Zoom refuses the app itself, or takes its credentials. Never throws, never waits. */
  note(zoomAppId: string, state: 'refused' | 'taken'): void
  /** Settles once what was noted is written. */
  settled(): Promise<void>
}

/**
 * Writes down since when Zoom refuses an app. Each replica finds that out by itself; the row changes once, and with it receivers are told
 * once. What this process has written is remembered, so that a refresh that succeeds costs no statement.
 */
export function createAppPauses({ sql, log }: { sql: Sql; log: Pick<FastifyBaseLogger, 'warn'> }): AppPauses {
  const written = new Map<string, 'refused' | 'taken'>()
  let last: Promise<void> = Promise.resolve()
  async function write(zoomAppId: string, state: 'refused' | 'taken'): Promise<void> {
    try {
      await sql.rows(state === 'refused' ? PAUSED : RESUMED, [zoomAppId])
    } catch (error) {
      written.delete(zoomAppId) // the next refresh notes it again
      log.warn({ err: error, zoom_app_id: zoomAppId }, 'that a Zoom app is paused or resumed was not written down')
    }
  }
  return {
    note(zoomAppId, state) {
      if (written.get(zoomAppId) === state) return
      written.set(zoomAppId, state)
      last = last.then(() => write(zoomAppId, state)) // in turn: the last word counts
    },
    settled: () => last,
  }
}
