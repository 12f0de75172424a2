import { type Sql, statement } from '../../lib/sql.ts'
import { type SyncState, syncStateSql } from '../../plugins/sync-state.ts'
import { ageOf } from '../../retention.ts'
import { DECIDE, isDeletedSince, isGoneSince } from './conflict-rule.ts'
import { IS_OF_CONSENT, NEW_ID } from './links.ts'
import { noteUnannounced } from './unannounced.ts'

/** A sync that this process has begun, and alone in its customer account. */
export interface BegunSync {
  accountKey: string
  zoomUserId: string
  /** The grant is of a whole account: it is read user by user. */
  isAccount: boolean
  /** By the database's clock. */
  at: Date
  /** Users of the account that were read after this need not be read again. */
  since: Date
  isListingDue: boolean
}

/** How a sync ended. */
export interface SyncResult {
  /** `queued`: a part is done, and the rest follows. */
  status: 'queued' | 'done' | 'failed'
  meetings: number
  code: string | null
  nextSeconds: number
  /** No sync of the account begins before. */
  restSeconds: number
}

// longer than a page may take, its retry and the pause after it included
const LEASE = `interval '90 s'`
/** Hashed: the row may outlive what is known of the account. */
const ACCOUNT = `encode(sha256(convert_to(COALESCE(g.zoom_account_id, g.id::text), 'UTF8')), 'hex')`
const STATE = `${syncStateSql('s')} AS sync`

/** Asked for: worth a renewal of the access token. Any other sync takes the token as it is. */
const IS_WANTED = `COALESCE(s.requested_at > COALESCE(s.finished_at, '-infinity'), false)`
/** For longer than a sync takes, and than the margin below which whoever borrows a token has it renewed. */
const IS_AWAKE = `EXISTS (SELECT FROM grant_tokens t WHERE t.grant_id = s.grant_id AND t.access_expires_at > now() + interval '10 min')`
/**
 * A grant that nobody uses is not refreshed to look at its meetings: every needless refresh is a risk. It is looked at again within
 * the hour that an access token lives: a bot, its announcement or the keep-alive wakes it, and then it is read. $1 how many
 */
const LET_SLEEP = statement(
  'meeting_sync_let_sleep',
  `UPDATE grant_syncs SET due_at = now() + interval '50 min' WHERE grant_id IN (
     SELECT s.grant_id FROM grant_syncs s
      WHERE s.due_at <= now() AND NOT ${IS_WANTED} AND NOT ${IS_AWAKE} ORDER BY s.due_at LIMIT $1)`,
)
const SLEEPERS_AT_ONCE = 500

/** One of each account, the longest due first. A job that dies is due again. $1 how many */
const CLAIM = statement(
  'meeting_sync_claim',
  `WITH due AS (
     SELECT s.grant_id, s.due_at, ${ACCOUNT} AS account_key FROM grant_syncs s JOIN grants g ON g.id = s.grant_id
      WHERE s.due_at <= now() AND (${IS_WANTED} OR ${IS_AWAKE})
        AND NOT EXISTS (SELECT FROM account_syncs a WHERE a.account_key = ${ACCOUNT} AND a.held_until > now())
      ORDER BY s.due_at LIMIT 20 * $1::int),
   first AS (SELECT DISTINCT ON (account_key) grant_id, due_at FROM due ORDER BY account_key, due_at),
   chosen AS (SELECT grant_id FROM first ORDER BY due_at LIMIT $1::int)
   UPDATE grant_syncs s SET due_at = now() + interval '3 min' FROM chosen
    WHERE s.grant_id = chosen.grant_id AND s.due_at <= now() RETURNING s.grant_id AS "grantId"`,
)

// less than the least between two syncs by the clock
const READ_AGAIN = `interval '4 hours 30 minutes'`
/** No row: nobody links the grant. Begun nowhere: the account is taken. $1 grant */
const BEGIN = statement(
  'meeting_sync_begin',
  `WITH known AS (
     SELECT g.id, ${ACCOUNT} AS account_key, g.zoom_user_id, o.is_account,
            CASE WHEN w.is_unfinished THEN s.requested_at ELSE GREATEST(s.requested_at, now() - ${READ_AGAIN}) END AS since,
            s.users_listed_at, GREATEST(s.users_wanted_at, s.requested_at,
              CASE WHEN NOT w.is_unfinished THEN now() - ${READ_AGAIN} END) AS listing_wanted_at
       FROM grants g JOIN grant_syncs s ON s.grant_id = g.id
      CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM organizations o WHERE o.grant_id = g.id AND ${IS_OF_CONSENT('o')}) AS is_account) o
      CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM account_users u WHERE u.grant_id = g.id AND u.is_waiting) AS is_unfinished) w
      WHERE g.id = $1 AND (o.is_account OR EXISTS (SELECT FROM hosts h WHERE h.grant_id = g.id))),
   held AS (
     INSERT INTO account_syncs AS a (account_key, grant_id, held_until) SELECT account_key, id, now() + ${LEASE} FROM known
     ON CONFLICT (account_key) DO UPDATE SET grant_id = excluded.grant_id, held_until = excluded.held_until
      WHERE a.held_until <= now() RETURNING 1),
   begun AS (
     UPDATE grant_syncs s
        SET status = 'running', started_at = clock_timestamp(), code = NULL, meetings = CASE WHEN known.is_account THEN s.meetings ELSE 0 END
       FROM known, held WHERE s.grant_id = known.id RETURNING 1)
   SELECT account_key AS "accountKey", zoom_user_id AS "zoomUserId", is_account AS "isAccount", now() AS at, since,
          COALESCE(users_listed_at < listing_wanted_at, true) AS "isListingDue",
          EXISTS (SELECT FROM begun) AS "isBegun"
     FROM known`,
)
const POSTPONE = statement(
  'meeting_sync_postpone',
  `UPDATE grant_syncs SET due_at = now() + interval '1 s' WHERE grant_id = $1`,
)
const DROP = statement(
  'meeting_sync_drop',
  `DELETE FROM grant_syncs s
    WHERE s.grant_id = $1 AND NOT EXISTS (SELECT FROM hosts h WHERE h.grant_id = s.grant_id)
      AND NOT EXISTS (SELECT FROM organizations o WHERE o.grant_id = s.grant_id)`,
)

/**
 * Maps a page in every tenant that links the grant under its present consent. What was deleted since the page was asked for, or
 * whose user has been erased, stays away, and so does what the tenant took away at any time: a list is no news. $1 grant, $2 numbers, $3 when it was asked for
 */
const MAP = statement(
  'meeting_sync_map',
  `WITH targets AS (
     SELECT h.tenant_id, h.external_user_id, n.meeting_id
       FROM grants g JOIN hosts h ON h.grant_id = g.id CROSS JOIN unnest($2::text[]) AS n (meeting_id)
      WHERE g.id = $1 AND g.zoom_user_id NOT LIKE 'erased:%' AND ${IS_OF_CONSENT('h')}
        AND NOT ${isGoneSince({
          tenantId: 'h.tenant_id',
          meetingId: 'n.meeting_id',
          externalUserId: 'h.external_user_id',
          observedAt: '$3::timestamptz',
        })}
        AND NOT ${isDeletedSince({ tenantId: 'h.tenant_id', meetingId: 'n.meeting_id', observedAt: "'-infinity'" })}),
   mapped AS (
     INSERT INTO meetings (id, tenant_id, meeting_id, external_user_id, source, observed_at)
     SELECT ${NEW_ID}, tenant_id, meeting_id, external_user_id, 'sync', $3::timestamptz FROM targets
      ORDER BY tenant_id, meeting_id
     ${DECIDE} RETURNING meeting_id, xmax = 0 AS is_new)
   ${noteUnannounced('true')}`,
)
/** What an organization found of the user's while he was being linked. $1 grant */
const ADOPT = statement('meeting_sync_adopt', `SELECT adopt_meetings(h)::text FROM hosts h WHERE h.grant_id = $1`)
/** The same meetings, of the same host, known from a source that stands over this one: a sign of life, at most one a day. */
const SEE = statement(
  'meeting_sync_see',
  `UPDATE meetings m SET seen_at = now()
     FROM (SELECT m.id FROM hosts h
             JOIN meetings m ON m.tenant_id = h.tenant_id AND m.external_user_id = h.external_user_id
            WHERE h.grant_id = $1 AND m.meeting_id = ANY ($2::text[]) AND m.source NOT IN ('api', 'sync')
              AND (m.seen_at IS NULL OR m.seen_at < now() - interval '1 day')
            ORDER BY m.tenant_id, m.meeting_id FOR UPDATE OF m) known
    WHERE m.id = known.id`,
)
/** $1 grant, $2 account, $3 meetings so far */
const PROGRESS = statement(
  'meeting_sync_progress',
  `WITH held AS (UPDATE account_syncs SET held_until = now() + ${LEASE} WHERE account_key = $2 AND grant_id = $1)
   UPDATE grant_syncs SET meetings = $3 WHERE grant_id = $1`,
)
const IS_ASKED_MEANWHILE = `(GREATEST(requested_at, users_wanted_at) > started_at)`
/** Asked for once more meanwhile: again in a second, when its job is no more in the queue's way. $1 grant, $2 account, $3 status, $4 meetings, $5 code, $6 next, $7 rest, in seconds */
const FINISH = statement(
  'meeting_sync_finish',
  `WITH freed AS (DELETE FROM account_syncs WHERE account_key = $2 AND grant_id = $1 AND $7::int = 0),
   held AS (
     UPDATE account_syncs SET held_until = now() + $7::int * interval '1 s'
      WHERE account_key = $2 AND grant_id = $1 AND $7::int > 0)
   UPDATE grant_syncs
      SET status = CASE WHEN ${IS_ASKED_MEANWHILE} THEN 'queued' ELSE $3 END, meetings = $4, code = $5,
          finished_at = CASE $3 WHEN 'queued' THEN finished_at ELSE now() END,
          done_at = CASE WHEN $3 = 'done' AND NOT ${IS_ASKED_MEANWHILE} THEN now() ELSE done_at END,
          due_at = now() + CASE WHEN ${IS_ASKED_MEANWHILE} THEN 1 ELSE $6::int END * interval '1 s'
    WHERE grant_id = $1`,
)

/** At most once a minute, however often it is asked for. $1 tenant, $2 host or organization */
const requestOf = (links: 'hosts' | 'organizations') =>
  statement(
    `meeting_sync_request_${links}`,
    `WITH link AS (SELECT l.grant_id, ${IS_OF_CONSENT('l')} AS is_of_consent FROM ${links} l WHERE l.tenant_id = $1 AND l.id = $2),
   filed AS (
     INSERT INTO grant_syncs AS s (grant_id, due_at, requested_at)
     SELECT grant_id, clock_timestamp(), clock_timestamp() FROM link WHERE is_of_consent
     ON CONFLICT (grant_id) DO UPDATE
        SET requested_at = excluded.requested_at, due_at = GREATEST(excluded.due_at, s.started_at + interval '1 min'),
            status = CASE s.status WHEN 'running' THEN 'running' ELSE 'queued' END
     RETURNING ${STATE})
   SELECT (SELECT sync FROM filed) AS sync FROM link`,
  )
const REQUESTS = { hosts: requestOf('hosts'), organizations: requestOf('organizations') }

const PURGE = [
  // a part at a time: the next round takes the next
  statement(
    'meetings_purge_silent',
    `DELETE FROM meetings WHERE id IN (
       SELECT id FROM meetings
        WHERE source <> 'api' AND observed_at < now() - ${ageOf('meetings')}
          AND (seen_at IS NULL OR seen_at < now() - ${ageOf('meetings')}) LIMIT 10000)`,
  ),
  // an organization whose row a replica of a former version took for nobody's
  statement(
    'account_syncs_file',
    `INSERT INTO grant_syncs (grant_id) SELECT DISTINCT o.grant_id FROM organizations o
      WHERE NOT EXISTS (SELECT FROM grant_syncs s WHERE s.grant_id = o.grant_id) ON CONFLICT DO NOTHING`,
  ),
  statement('account_syncs_purge', `DELETE FROM account_syncs WHERE held_until < now() - ${ageOf('account_syncs')}`),
]

/** When which grant's meetings are read, and what that does to the map. Every function throws store_unavailable. */
export function createSyncStore(sql: Sql) {
  return {
    /** Grants whose time has come, at most so many; they are not given again for three minutes. */
    async claim(most: number): Promise<string[]> {
      await sql.rows(LET_SLEEP, [SLEEPERS_AT_ONCE])
      const claimed = await sql.rows<{ grantId: string }>(CLAIM, [most])
      return claimed.map(({ grantId }) => grantId)
    },
    /** Null where nobody links the grant, or another sync of its account is under way: then it is due again soon. */
    async begin(grantId: string): Promise<BegunSync | null> {
      const [known] = await sql.rows<BegunSync & { isBegun: boolean }>(BEGIN, [grantId])
      if (known?.isBegun) return known
      await sql.rows(known ? POSTPONE : DROP, [grantId])
      return null
    },
    /** What an organization found of the user's meanwhile is the user's. */
    async adopt(grantId: string): Promise<void> {
      await sql.rows(ADOPT, [grantId])
    },
    /** Each number once. `askedAt`: before the question to Zoom. */
    async map(grantId: string, meetingIds: string[], askedAt: Date): Promise<void> {
      if (meetingIds.length === 0) return
      await sql.rows(MAP, [grantId, meetingIds, askedAt])
      await sql.rows(SEE, [grantId, meetingIds])
    },
    async progress(grantId: string, { accountKey }: BegunSync, meetings: number): Promise<void> {
      await sql.rows(PROGRESS, [grantId, accountKey, meetings])
    },
    async finish(grantId: string, { accountKey }: BegunSync, result: SyncResult): Promise<void> {
      const { status, meetings, code, nextSeconds, restSeconds } = result
      await sql.rows(FINISH, [grantId, accountKey, status, meetings, code, nextSeconds, restSeconds])
    },
    /** Null where the tenant has no such host or organization; its `sync` is null where it was made under a consent that ended. */
    async request(
      tenantId: string,
      links: keyof typeof REQUESTS,
      id: string,
    ): Promise<{ sync: SyncState | null } | null> {
      const [row] = await sql.rows<{ sync: SyncState | null }>(REQUESTS[links], [tenantId, id])
      return row ?? null
    },
    /** Forgets what was found and has given no sign of life for long. */
    async purge(): Promise<void> {
      for (const purge of PURGE) await sql.rows(purge, [])
    },
  }
}

export type SyncStore = ReturnType<typeof createSyncStore>
