import type { FastifyBaseLogger } from 'fastify'
import { AppError } from '../errors.ts'
import { type Sql, statement } from '../lib/sql.ts'
import type { GrantMetrics } from './metrics.ts'
import type { Refresher } from './refresh.ts'
import { isUnlinked } from './unlinked.ts'

export interface KeepAliveDeps {
  sql: Sql
  refresher: Pick<Refresher, 'renew'>
  keepAliveHours: number
  log: FastifyBaseLogger
  metrics: Pick<GrantMetrics, 'showEarlyDeaths'>
  monotonicNow: () => number
}

// fewer may be users who removed the app; so many at once look like a limit of Zoom's that is shorter than our interval
const ALARMING_DEATHS = 3
const ALARM_AGAIN_MS = 24 * 3600 * 1000

/**
 * When a grant is due, by $1 hours: somewhere in the last fifth of its interval, elsewhere for each grant and each generation, so that
 * grants imported in one hour are not refreshed in one hour. A try that came to nothing is repeated after an hour. A blocked
 * user's grant is tried once a day: whether the block is over shows nowhere else.
 */
const isDue = (hours: string) => `
  t.status = 'connected' AND NOT (${isUnlinked('g.id')})
  AND t.refreshed_at < now() - CASE WHEN g.blocked_reason IS NOT NULL THEN interval '24 h'
        ELSE ${hours} * interval '1 h' * (0.8 + 0.2 * (hashtext(g.id::text || t.gen::text) & 1023) / 1024.0) END
  AND COALESCE((SELECT a.started_at FROM refresh_attempts a WHERE a.grant_id = g.id ORDER BY a.lease_seq DESC LIMIT 1),
               '-infinity')
      < now() - CASE WHEN g.blocked_reason IS NULL THEN interval '1 h' ELSE interval '24 h' END`

/** The longest idle first, and in a minute at most four times what a minute's even share would be: the rest comes later. */
const DUE = statement(
  'grant_keep_alive_due',
  `SELECT g.id FROM grants g JOIN grant_tokens t ON t.grant_id = g.id
    WHERE ${isDue('$1')} ORDER BY t.refreshed_at
    LIMIT GREATEST(60, (SELECT count(*) FROM grant_tokens WHERE status = 'connected') * 4 / ($1 * 60))`,
)
const STILL_DUE = statement(
  'grant_keep_alive_still_due',
  `SELECT t.gen FROM grants g JOIN grant_tokens t ON t.grant_id = g.id WHERE g.id = $2 AND ${isDue('$1')}`,
)
const EARLY_DEATHS = statement(
  'grant_early_deaths',
  `SELECT g.zoom_app_id AS "zoomAppId", count(*)::int AS count, min(t.death_age_seconds) AS "youngestSeconds"
     FROM grant_tokens t JOIN grants g ON g.id = t.grant_id
    WHERE t.death_reason = 'rejected_by_zoom' AND t.death_age_seconds < $1 * 3600
      AND t.died_at > now() - $1 * interval '1 h'
    GROUP BY g.zoom_app_id`,
)

interface EarlyDeaths {
  zoomAppId: string
  count: number
  youngestSeconds: number
}

/**
 * Keeps idle grants alive: a refresh token that nobody uses ends 90 days after it was issued, perhaps sooner. Each refresh is
 * also a risk, so none is made before it is due. Called by the clock only.
 */
export function createKeepAlive({ sql, refresher, keepAliveHours, log, metrics, monotonicNow }: KeepAliveDeps) {
  const alarmed = new Map<string, { count: number; atMs: number }>()

  function alarm({ zoomAppId, count, youngestSeconds }: EarlyDeaths): void {
    const last = alarmed.get(zoomAppId)
    const isNews = !last || count > last.count || monotonicNow() - last.atMs > ALARM_AGAIN_MS
    if (count < ALARMING_DEATHS || !isNews) return
    alarmed.set(zoomAppId, { count, atMs: monotonicNow() })
    const fields = {
      zoom_app_id: zoomAppId,
      count,
      youngest_seconds: youngestSeconds,
      keep_alive_hours: keepAliveHours,
    }
    log.error(fields, 'Zoom takes refresh tokens no more that are younger than the keep-alive interval')
  }

  return {
    /** Whose turn it is. @throws store_unavailable */
    async dueAcrossTenants(): Promise<string[]> {
      const rows = await sql.rows<{ id: string }>(DUE, [keepAliveHours])
      return rows.map(({ id }) => id)
    },
    /**
     * Refreshes one grant if it is still its turn. What Zoom says of the grant is settled and told by the refresh itself.
     * @throws store_unavailable
     */
    async keepAlive(grantId: string): Promise<void> {
      const [due] = await sql.rows<{ gen: string }>(STILL_DUE, [keepAliveHours, grantId])
      if (!due) return
      await refresher.renew(grantId, BigInt(due.gen)).catch((error: unknown) => {
        if (!(error instanceof AppError) || error.code === 'store_unavailable') throw error
        log.info({ err: error, grant_id: grantId }, 'an idle grant was not refreshed; it is tried again')
      })
    },
    /**
     * Looks whether refresh tokens die younger than the interval at which they are kept alive: then Zoom's own limit is shorter, and
     * GRANT_KEEPALIVE_HOURS must be too. @throws store_unavailable
     */
    async findEarlyDeathsAcrossTenants(): Promise<void> {
      const found = await sql.rows<EarlyDeaths>(EARLY_DEATHS, [keepAliveHours])
      metrics.showEarlyDeaths(Math.max(0, ...found.map(({ count }) => count)))
      for (const deaths of found) alarm(deaths)
    },
  }
}
