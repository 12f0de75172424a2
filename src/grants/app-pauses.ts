import type { FastifyBaseLogger } from 'fastify'
import { type MintSql, mintStatement } from '../lib/sql.ts'

const PAUSED = mintStatement(
  'zoom_app_paused',
  `UPDATE zoom_apps SET paused_at = clock_timestamp() WHERE id = $1 AND paused_at IS NULL`,
)
const RESUMED = mintStatement(
  'zoom_app_resumed',
  `UPDATE zoom_apps SET paused_at = NULL WHERE id = $1 AND paused_at IS NOT NULL`,
)

// while replicas disagree (a secret is being rolled out), the row must not change with every answer
const REMEMBERED_MS = { refused: 60_000, taken: 10_000 }

export interface AppPausesDeps {
  sql: MintSql
  log: Pick<FastifyBaseLogger, 'warn'>
  monotonicNow: () => number
}

export interface AppPauses {
  /** Zoom refuses the app itself, or takes its credentials. Never throws, never waits. */
  note(zoomAppId: string, state: 'refused' | 'taken'): void
  /** Settles once what was noted is written. */
  settled(): Promise<void>
}

/**
 * Writes down since when Zoom refuses an app. Each replica finds that out by itself; the row changes once, and with it receivers are told
 * once. What this process has written is remembered for a while, so that hardly a refresh costs a statement; not for ever, since another
 * replica may have written the contrary, and be gone.
 */
export function createAppPauses({ sql, log, monotonicNow }: AppPausesDeps): AppPauses {
  const written = new Map<string, { state: 'refused' | 'taken'; atMs: number }>()
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
      const known = written.get(zoomAppId)
      if (known?.state === state && monotonicNow() - known.atMs < REMEMBERED_MS[state]) return
      written.set(zoomAppId, { state, atMs: monotonicNow() })
      last = last.then(() => write(zoomAppId, state)) // in turn: the last word counts
    },
    settled: () => last,
  }
}
