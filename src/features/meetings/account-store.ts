import { type MintSql, mintStatement, type Sql, statement } from '../../lib/sql.ts'
import type { ListedUser } from '../../zoom/account-users.ts'
import { DECIDE, isDeletedSince, isGoneSince } from './conflict-rule.ts'
import { IS_OF_CONSENT, NEW_ID, ownHost } from './links.ts'
import { noteUnannounced } from './unannounced.ts'

/** Whose meeting a number is, by Zoom's word to an account's admin. */
export interface AccountWord {
  meetingId: string
  zoomUserId: string
}

/** A page of an account's users, as of a listing that was begun `at`. */
interface ListedPage {
  users: ListedUser[]
  at: Date
  /** Who was read after this waits no more. */
  since: Date
}

/** Under the present consent, and by somebody who has not taken the app away since. */
const IS_LINKED = `EXISTS (
       SELECT FROM organizations o JOIN grants g ON g.id = o.grant_id
        WHERE o.grant_id = $1 AND g.zoom_user_id NOT LIKE 'erased:%' AND ${IS_OF_CONSENT('o')})`

/** $1 grant, $2 users, $3 when the listing began, $4 since */
const LISTED = statement(
  'account_users_listed',
  `INSERT INTO account_users AS u (grant_id, zoom_user_id, has_pmi, listed_at)
   SELECT $1::uuid, s."zoomUserId", s."hasPmi", $3::timestamptz
     FROM jsonb_to_recordset($2::jsonb) AS s ("zoomUserId" text, "hasPmi" boolean) WHERE ${IS_LINKED} ORDER BY 2
   ON CONFLICT (grant_id, zoom_user_id) DO UPDATE
      SET has_pmi = excluded.has_pmi, listed_at = excluded.listed_at,
          is_waiting = u.is_waiting OR COALESCE(u.read_at < $4::timestamptz, true)`,
)
/** Who is in the list no more is not read again. Of their meetings it says nothing: a list may be an old one. $1 grant, $2 when it began */
const LISTING_ENDED = statement(
  'account_users_listing_ended',
  `WITH gone AS (DELETE FROM account_users WHERE grant_id = $1 AND listed_at < $2)
   UPDATE grant_syncs SET users_listed_at = $2 WHERE grant_id = $1`,
)
/** Those never tried come first, then those tried longest ago; nobody twice in a part. $1 grant, $2 how many, $3 when the part began */
const WAITING = statement(
  'account_users_waiting',
  `SELECT zoom_user_id AS "zoomUserId" FROM account_users
    WHERE grant_id = $1 AND is_waiting AND COALESCE(tried_at < $3::timestamptz, true)
    ORDER BY tried_at NULLS FIRST, zoom_user_id LIMIT $2`,
)
/** $1 grant, $2 user, $3 how many numbers their lists held; null: they could not be read, and wait */
const READ = statement(
  'account_user_read',
  `UPDATE account_users
      SET tried_at = now(), is_waiting = $3::int IS NULL, read_at = CASE WHEN $3::int IS NULL THEN read_at ELSE now() END,
          meetings = COALESCE($3::int, meetings)
    WHERE grant_id = $1 AND zoom_user_id = $2`,
)
const TOTALS = statement(
  'account_sync_totals',
  `UPDATE grant_syncs s SET meetings = t.meetings, users = t.users, users_waiting = t.waiting
     FROM (SELECT COALESCE(sum(meetings + has_pmi::int), 0)::int AS meetings, count(*)::int AS users,
                  (count(*) FILTER (WHERE is_waiting))::int AS waiting FROM account_users WHERE grant_id = $1) t
    WHERE s.grant_id = $1 RETURNING s.meetings`,
)

/**
 * Who opens the door of these users' meetings in each tenant that links the account, and not another one that the admin was in before: their own
 * host there, else the organization, which may not go meanwhile.
 */
const OWNERS = `
   said AS (SELECT * FROM jsonb_to_recordset($2::jsonb) AS s ("meetingId" text, "zoomUserId" text)),
   owners AS MATERIALIZED (
     SELECT o.tenant_id, w.zoom_user_id, own.external_user_id, CASE WHEN own.external_user_id IS NULL THEN o.id END AS organization_id
       FROM organizations o JOIN grants g ON g.id = o.grant_id
      CROSS JOIN (SELECT DISTINCT "zoomUserId" AS zoom_user_id FROM said) w LEFT JOIN ${ownHost('o.tenant_id', 'w.zoom_user_id')}
      WHERE o.grant_id = $1 AND o.zoom_account_id = g.zoom_account_id AND g.zoom_user_id NOT LIKE 'erased:%' AND ${IS_OF_CONSENT('o')}
        FOR KEY SHARE OF o)`

/** As a host's own list or answer would: see sync-store and lookup-store. $1 grant, $2 words, $3 when it was asked for, $4 source */
const MAP = mintStatement(
  'account_meetings_map',
  `WITH ${OWNERS},
   mapped AS (
     INSERT INTO meetings (id, tenant_id, meeting_id, external_user_id, organization_id, zoom_user_id, source, observed_at)
     SELECT ${NEW_ID}, p.tenant_id, s."meetingId", p.external_user_id, p.organization_id,
            CASE WHEN p.organization_id IS NOT NULL THEN p.zoom_user_id END, $4, $3::timestamptz
       FROM said s JOIN owners p ON p.zoom_user_id = s."zoomUserId"
      WHERE NOT ${isGoneSince({
        tenantId: 'p.tenant_id',
        meetingId: 's."meetingId"',
        externalUserId: 'p.external_user_id',
        observedAt: '$3::timestamptz',
      })}
        AND NOT ${isDeletedSince({ tenantId: 'p.tenant_id', meetingId: 's."meetingId"', observedAt: "'-infinity'" })}
      ORDER BY p.tenant_id, s."meetingId"
     ${DECIDE} RETURNING meeting_id, xmax = 0 AS is_new)
   ${noteUnannounced(`$4 = 'sync' AND EXISTS (
      SELECT FROM said s JOIN account_users u ON u.grant_id = $1 AND u.zoom_user_id = s."zoomUserId"
       WHERE s."meetingId" = m.meeting_id AND u.read_at IS NOT NULL)`)}`,
)
/**
 * The same meetings known from a source that stands over a list: a sign of life, at most one a day; and whose of the account they are, where
 * that was not noted. $1 grant, $2 words
 */
const SEE = statement(
  'account_meetings_see',
  `WITH ${OWNERS}
   UPDATE meetings m
      SET seen_at = now(), zoom_user_id = CASE WHEN m.organization_id IS NULL THEN NULL ELSE COALESCE(m.zoom_user_id, known.zoom_user_id) END
     FROM (SELECT m.id, p.zoom_user_id
             FROM said s JOIN owners p ON p.zoom_user_id = s."zoomUserId"
             JOIN meetings m ON m.tenant_id = p.tenant_id AND m.meeting_id = s."meetingId"
            WHERE (m.organization_id = p.organization_id OR m.external_user_id = p.external_user_id)
              AND m.source NOT IN ('api', 'sync')
              AND (m.seen_at IS NULL OR m.seen_at < now() - interval '1 day' OR (m.organization_id IS NOT NULL AND m.zoom_user_id IS NULL))
            ORDER BY m.tenant_id, m.meeting_id FOR UPDATE OF m) known
    WHERE m.id = known.id`,
)

const GRANTS_OF_ACCOUNT = `SELECT g.id FROM grants g WHERE g.zoom_app_id = $1 AND g.zoom_account_id = $2
                              AND EXISTS (SELECT FROM organizations o WHERE o.grant_id = g.id)`
/** A moment later: where many users come at once, they are listed once. $1 app, $2 account */
const USERS_WANTED = statement(
  'account_users_wanted',
  `UPDATE grant_syncs SET users_wanted_at = clock_timestamp(), due_at = LEAST(due_at, now() + interval '10 s')
    WHERE grant_id IN (${GRANTS_OF_ACCOUNT}) RETURNING 1`,
)
/** $1 app, $2 account or null, $3 user, $4 when they left */
const FORGET_USER = statement(
  'account_user_forget',
  `WITH linked AS (
     SELECT o.id, o.tenant_id, o.grant_id FROM organizations o JOIN grants g ON g.id = o.grant_id
      WHERE g.zoom_app_id = $1 AND ($2::text IS NULL OR o.zoom_account_id = $2)),
   left_account AS (
     DELETE FROM account_users u WHERE u.zoom_user_id = $3 AND u.grant_id IN (SELECT grant_id FROM linked) RETURNING 1),
   forgotten AS (
     DELETE FROM meetings m USING linked l
      WHERE m.tenant_id = l.tenant_id AND m.organization_id = l.id AND m.zoom_user_id = $3 AND m.source <> 'api'
        AND m.observed_at <= $4
     RETURNING 1)
   SELECT (SELECT count(*) FROM left_account)::int + (SELECT count(*) FROM forgotten)::int AS count`,
)

/** What an account's admin is told of a number while a bot waits. Throws store_unavailable. */
export function createAccountMap(sql: MintSql) {
  return {
    /** Each number once. `askedAt`: before the question to Zoom. */
    async map(grantId: string, words: AccountWord[], askedAt: Date, source: 'sync' | 'lookup'): Promise<void> {
      if (words.length > 0) await sql.rows(MAP, [grantId, JSON.stringify(words), askedAt, source])
    },
  }
}

export type AccountMap = ReturnType<typeof createAccountMap>

/** Users of accounts that admins connected as a whole, and what that does to the map. Every function throws store_unavailable. */
export function createAccountStore(sql: Sql) {
  const { map } = createAccountMap(sql)
  return {
    /** Each user once. */
    async listed(grantId: string, { users, at, since }: ListedPage): Promise<void> {
      const rows = users.map(({ zoomUserId, pmi }) => ({ zoomUserId, hasPmi: pmi !== null }))
      await sql.rows(LISTED, [grantId, JSON.stringify(rows), at, since])
    },
    async listingEnded(grantId: string, at: Date): Promise<void> {
      await sql.rows(LISTING_ENDED, [grantId, at])
    },
    /** Who was not tried since `begunAt`. */
    async waiting(grantId: string, limit: number, begunAt: Date): Promise<string[]> {
      const users = await sql.rows<{ zoomUserId: string }>(WAITING, [grantId, limit, begunAt])
      return users.map(({ zoomUserId }) => zoomUserId)
    },
    /** `meetings` null: they could not be read. */
    async read(grantId: string, zoomUserId: string, meetings: number | null): Promise<void> {
      await sql.rows(READ, [grantId, zoomUserId, meetings])
    },
    /** Gives how many numbers are known of the account so far. */
    async totals(grantId: string): Promise<number> {
      const [row] = await sql.rows<{ meetings: number }>(TOTALS, [grantId])
      return row?.meetings ?? 0
    },
    /** What its lists show: each number once. `askedAt`: before the question to Zoom. */
    async mapListed(grantId: string, words: AccountWord[], askedAt: Date): Promise<void> {
      await map(grantId, words, askedAt, 'sync')
      if (words.length > 0) await sql.rows(SEE, [grantId, JSON.stringify(words)])
    },
    /** The users of this app's accounts are listed soon: gives whether anybody links the account. */
    async usersWanted(zoomAppId: string, zoomAccountId: string): Promise<boolean> {
      return (await sql.rows(USERS_WANTED, [zoomAppId, zoomAccountId])).length > 0
    },
    /** Somebody has left the account: gives whether anything was known of them. */
    async forgetUser(zoomAppId: string, zoomAccountId: string | null, zoomUserId: string, at: Date): Promise<boolean> {
      const [row] = await sql.rows<{ count: number }>(FORGET_USER, [zoomAppId, zoomAccountId, zoomUserId, at])
      return (row?.count ?? 0) > 0
    },
  }
}

export type AccountStore = ReturnType<typeof createAccountStore>
