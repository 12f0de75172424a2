import { type Sql, statement } from '../../lib/sql.ts'
import { ageOf } from '../../retention.ts'

/**
 * The end of a statement that maps what a list holds, after `mapped` (meeting_id, is_new): notes the numbers that an event should have told of
 * before. Not at the first sync of a grant, and not for an app that has told of no meeting at all in the last 8 days: nobody
 * subscribed to those events, then. `$1` is the grant; `isDue` says
 * of `m` whether its user was read before, in SQL.
 */
export function noteUnannounced(isDue: string): string {
  return `INSERT INTO unannounced_meetings (zoom_app_id, meeting_id)
   SELECT DISTINCT g.zoom_app_id, m.meeting_id
     FROM mapped m CROSS JOIN grants g JOIN grant_syncs s ON s.grant_id = g.id JOIN zoom_apps a ON a.id = g.zoom_app_id
    WHERE g.id = $1 AND m.is_new AND s.done_at IS NOT NULL AND a.webhook_validated_at IS NOT NULL AND ${isDue}
      AND EXISTS (SELECT FROM meeting_event_marks k WHERE k.zoom_app_id = a.id)
      AND NOT EXISTS (SELECT FROM meeting_event_marks w WHERE w.zoom_app_id = g.zoom_app_id AND w.meeting_id = m.meeting_id)
    ORDER BY 1, 2
   ON CONFLICT DO NOTHING`
}

/** Whose events did not come at all, longer after than Zoom repeats one (5, 20 and 60 minutes); each number is judged once, by whichever replica is first. */
const MISSED = statement(
  'meeting_events_missed',
  `WITH late AS (DELETE FROM unannounced_meetings WHERE found_at < now() - ${ageOf('unannounced_meetings')} RETURNING zoom_app_id, meeting_id),
   missed AS (
     SELECT l.zoom_app_id, count(*)::int AS meetings FROM late l
      WHERE EXISTS (SELECT FROM meetings m WHERE m.meeting_id = l.meeting_id)
        AND NOT EXISTS (SELECT FROM meeting_event_marks w WHERE w.zoom_app_id = l.zoom_app_id AND w.meeting_id = l.meeting_id)
      GROUP BY 1),
   noted AS (UPDATE zoom_apps a SET events_missed_at = now() FROM missed WHERE a.id = missed.zoom_app_id)
   SELECT zoom_app_id AS "zoomAppId", meetings FROM missed ORDER BY 1`,
)

export interface GapDeps {
  sql: Sql
  log: { error: (fields: object, message: string) => void }
  count: (meetings: number) => void
}

/** Notices where events of Zoom's do not come although they should: a lost one never comes back. */
export function createGapReport({ sql, log, count }: GapDeps) {
  return {
    /** Says of each app how many meetings a sync alone found. @throws store_unavailable */
    async reportAcrossTenants(): Promise<void> {
      const missed = await sql.rows<{ zoomAppId: string; meetings: number }>(MISSED, [])
      for (const { zoomAppId, meetings } of missed) {
        count(meetings)
        log.error(
          { zoom_app_id: zoomAppId, meetings },
          'events of Zoom’s did not come: a sync alone found these meetings; look at the app’s event subscription',
        )
      }
    },
  }
}
