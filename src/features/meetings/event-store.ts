import { sha256 } from '../../lib/ids.ts'
import { type Sql, statement } from '../../lib/sql.ts'
import { ageOf } from '../../retention.ts'
import { DECIDE, isDeletedSince } from './conflict-rule.ts'
import { IS_OF_CONSENT, NEW_ID, ownHost } from './links.ts'

/** What an event of one app told, and when, by Zoom's clock. */
export interface Told {
  zoomAppId: string
  zoomAccountId: string | null
  at: Date
  /** Whose meeting each number is, or (null) that it is gone; each number once. */
  words: { meetingId: string; zoomUserId: string | null }[]
}

/** How many numbers of the event were news, and how many mappings it made or moved, and took away. */
export interface Effect {
  news: number
  mapped: number
  removed: number
}

const GONE = 'gone'

/**
 * Of an app's events about one number the latest counts, in whatever order they come; of two of one millisecond always the
 * same, and `gone` in any case. In the order of the numbers, so that two events never wait for each other in a circle.
 * $1 app, $2 words, $3 time
 */
const MARK = statement(
  'meeting_event_mark',
  `INSERT INTO meeting_event_marks AS w (zoom_app_id, meeting_id, at, said)
   SELECT $1::uuid, s."meetingId", $3::timestamptz, s.said
     FROM jsonb_to_recordset($2::jsonb) AS s ("meetingId" text, said text) ORDER BY s."meetingId"
   ON CONFLICT (zoom_app_id, meeting_id) DO UPDATE SET at = excluded.at, said = excluded.said
    WHERE (excluded.at, excluded.said COLLATE "C") > (w.at, w.said COLLATE "C")`,
)

/** The tenants that know the host by a grant of this app or, for an app of whole accounts, the host's account. */
const TARGETS = `
   targets AS (
     SELECT DISTINCT ON (s.meeting_id, t.tenant_id) s.meeting_id, s.zoom_user_id, t.*
       FROM said s CROSS JOIN LATERAL (
         SELECT h.tenant_id, h.external_user_id, NULL::uuid AS organization_id
           FROM grants g JOIN hosts h ON h.grant_id = g.id
          WHERE g.zoom_app_id = $1 AND g.zoom_user_id = s.zoom_user_id AND ${IS_OF_CONSENT('h')}
            AND ($4::text IS NULL OR g.zoom_account_id IS NULL OR g.zoom_account_id = $4)
         UNION ALL
         SELECT o.tenant_id, own.external_user_id, CASE WHEN own.external_user_id IS NULL THEN o.id END
           FROM organizations o JOIN grants g ON g.id = o.grant_id LEFT JOIN ${ownHost('o.tenant_id', 's.zoom_user_id')}
          WHERE g.zoom_app_id = $1 AND o.zoom_account_id = $4 AND s.zoom_user_id IS NOT NULL AND ${IS_OF_CONSENT('o')}) t
      WHERE NOT ${isDeletedSince({ tenantId: 't.tenant_id', meetingId: 's.meeting_id', observedAt: 's.at' })}
      ORDER BY s.meeting_id, t.tenant_id, t.external_user_id NULLS LAST)`

/** An app's events reach no further than the users and accounts that are connected with it: its secret may be a tenant's own. */
const IS_WITHIN_REACH = `(
       EXISTS (SELECT FROM hosts h JOIN grants g ON g.id = h.grant_id
                WHERE h.tenant_id = m.tenant_id AND h.external_user_id = m.external_user_id AND g.zoom_app_id = $1)
       OR EXISTS (SELECT FROM organizations o JOIN grants g ON g.id = o.grant_id
                   WHERE o.tenant_id = m.tenant_id AND g.zoom_app_id = $1 AND o.zoom_account_id = $4))`

/**
 * Makes the map what the marks say. A statement of its own, after MARK: one alone would decide by what it saw before it waited for
 * another event about the number. The marks are held meanwhile, and an event that is the latest no more does nothing here, so
 * both may be done again, after a crash in between too. A claim also ends the mappings of whoever was the host before, in tenants
 * that do not know the new one. $1 app, $2 words, $3 time, $4 account
 */
const APPLY = statement(
  'meeting_event_apply',
  `WITH said AS MATERIALIZED (
     SELECT w.meeting_id, w.at, s."zoomUserId" AS zoom_user_id
       FROM jsonb_to_recordset($2::jsonb) AS s ("meetingId" text, "zoomUserId" text, said text)
       JOIN meeting_event_marks w ON w.zoom_app_id = $1 AND w.meeting_id = s."meetingId" AND w.at = $3 AND w.said = s.said
      ORDER BY w.meeting_id FOR UPDATE OF w),
   ${TARGETS},
   removed AS (
     DELETE FROM meetings m USING said s
      WHERE m.meeting_id = s.meeting_id AND m.source <> 'api' AND m.observed_at <= s.at AND ${IS_WITHIN_REACH}
        AND NOT EXISTS (SELECT FROM targets t WHERE t.tenant_id = m.tenant_id AND t.meeting_id = m.meeting_id)
     RETURNING 1),
   mapped AS (
     INSERT INTO meetings (id, tenant_id, meeting_id, external_user_id, organization_id, zoom_user_id, source, observed_at)
     SELECT ${NEW_ID}, tenant_id, meeting_id, external_user_id, organization_id,
            CASE WHEN organization_id IS NOT NULL THEN zoom_user_id END, 'event', $3 FROM targets
      ORDER BY tenant_id, meeting_id
     ${DECIDE} RETURNING 1)
   SELECT (SELECT count(*) FROM said)::int AS news, (SELECT count(*) FROM mapped)::int AS mapped,
          (SELECT count(*) FROM removed)::int AS removed`,
)

const PURGE_MARKS = statement(
  'meeting_event_marks_purge',
  `DELETE FROM meeting_event_marks WHERE at < now() - ${ageOf('meeting_event_marks')}`,
)
const PURGE_DELETIONS = statement(
  'meeting_deletions_purge',
  `DELETE FROM meeting_deletions WHERE at < now() - ${ageOf('meeting_deletions')}`,
)
/** Found for a host in the very moment in which the host, or what is known of the person, went. */
const PURGE_HOSTLESS = statement(
  'meetings_purge_hostless',
  `DELETE FROM meetings m
    WHERE m.source <> 'api' AND m.external_user_id IS NOT NULL AND NOT EXISTS (
      SELECT FROM hosts h JOIN grants g ON g.id = h.grant_id
       WHERE h.tenant_id = m.tenant_id AND h.external_user_id = m.external_user_id AND g.zoom_user_id NOT LIKE 'erased:%')`,
)

const saidOf = (zoomUserId: string | null) =>
  zoomUserId === null ? GONE : sha256(zoomUserId).toString('hex').slice(0, 16)

/** What Zoom's events do to the map. Every function throws store_unavailable. */
export function createMeetingEventStore(sql: Sql) {
  return {
    /** Once or several times with the same event: the same map. */
    async apply({ zoomAppId, zoomAccountId, at, words }: Told): Promise<Effect> {
      const given = JSON.stringify(words.map((word) => ({ ...word, said: saidOf(word.zoomUserId) })))
      await sql.rows(MARK, [zoomAppId, given, at])
      const [effect] = await sql.rows<Effect>(APPLY, [zoomAppId, given, at, zoomAccountId])
      return effect ?? { news: 0, mapped: 0, removed: 0 }
    },
    async purge(): Promise<void> {
      await sql.rows(PURGE_MARKS, [])
      await sql.rows(PURGE_DELETIONS, [])
      await sql.rows(PURGE_HOSTLESS, [])
    },
  }
}

export type MeetingEventStore = ReturnType<typeof createMeetingEventStore>
