import { AUDIT_INSERT } from '../audit/audit-log.ts'
import { mintStatement, type Sql, statement } from '../lib/sql.ts'
import { NO_PERSON } from './person.ts'

/** Whose grant an event is about, and when that happened by Zoom's clock. */
export interface Ending {
  zoomAppId: string
  zoomUserId: string
  /** Null where the event does not say. */
  zoomAccountId: string | null
  at: Date
}

export type EndingReason = 'deauthorized' | 'user_removed'

/** `older`: the user has authorised the app again since, so the event is about what was before. */
export type EndingOutcome = 'applied' | 'older' | 'unknown_user'

/**
 * A user whose data was erased authorises again: the grant has his name again. A statement of its own, before the grant is looked for; where
 * an event came in between once, the user has two rows, and the one with his name is his.
 * `erased_zoom_user` (a function of the database) gives the pseudonym that stands for a user of an app from then on.
 */
export const RECOGNISE = mintStatement(
  'grant_recognise',
  `UPDATE grants SET zoom_user_id = $2
    WHERE zoom_app_id = $1 AND zoom_user_id = erased_zoom_user(zoom_app_id, $2)
      AND NOT EXISTS (SELECT FROM grants x WHERE x.zoom_app_id = $1 AND x.zoom_user_id = $2)`,
)

/** The grants of this user, of this app alone; a grant that does not know its account is recognised by the user. */
const OF_USER = `g.zoom_app_id = $1 AND g.zoom_user_id = $2
       AND ($3::text IS NULL OR g.zoom_account_id IS NULL OR g.zoom_account_id = $3)`
/** An account-level app is installed for a whole account: whoever of it gave the grant. */
const OF_ACCOUNT = `g.zoom_app_id = $1 AND $2::text IS NOT NULL AND g.zoom_account_id = $3`

/**
 * Ends grants at once and for good: tokens and what is known of the person are erased, the generation moves, so that a refresh in
 * flight can neither store nor condemn anything. In the same commit go what was kept beside the grant because of that person
 * (links made for their address, meetings we found), and a line of the trail for each tenant.
 *
 * By compare-and-set on the generation: a pair that a new consent stored between the look and the write is not of those that the
 * event is about. The statement tells what it left for that reason. A user who has a second row already (RECOGNISE) leaves two
 * pseudonyms: the grant's id makes the later one its own.
 */
const endingOf = (label: string, who: string) =>
  statement(
    label,
    `WITH gone AS (
       SELECT g.id, g.zoom_user_id, g.email, t.gen FROM grants g JOIN grant_tokens t ON t.grant_id = g.id
        WHERE ${who} AND g.connected_at <= $4),
     tokens AS ( -- before the grant, as in every statement that stores a pair
       UPDATE grant_tokens t
          SET gen = t.gen + 1, status = CASE WHEN t.status = 'disconnected' THEN t.status ELSE 'reconnect_required' END,
              status_reason = CASE WHEN t.status = 'disconnected' THEN t.status_reason ELSE $5 END,
              refresh_ct = NULL, access_ct = NULL, access_expires_at = NULL, lease_until = NULL,
              lease_owner = CASE WHEN t.status = 'disconnected' THEN t.lease_owner END, -- let go without being revoked
              intent_gen = NULL, intent_at = NULL
         FROM gone WHERE t.grant_id = gone.id AND t.gen = gone.gen
       RETURNING t.grant_id, gone.zoom_user_id, gone.email),
     linked AS (
       SELECT h.tenant_id, h.external_user_id, x.grant_id, x.email, NULL::uuid AS organization_id
         FROM hosts h JOIN tokens x ON x.grant_id = h.grant_id
       UNION ALL
       SELECT o.tenant_id, o.external_user_id, x.grant_id, x.email, o.id
         FROM organizations o JOIN tokens x ON x.grant_id = o.grant_id),
     person AS (
       UPDATE grants g SET ${NO_PERSON}, zoom_account_id = NULL, blocked_reason = NULL,
              zoom_user_id = erased_zoom_user(g.zoom_app_id, x.zoom_user_id) ||
                CASE WHEN EXISTS (SELECT FROM grants y WHERE y.zoom_app_id = g.zoom_app_id
                                     AND y.zoom_user_id = erased_zoom_user(g.zoom_app_id, x.zoom_user_id))
                     THEN ':' || g.id ELSE '' END
         FROM tokens x WHERE g.id = x.grant_id AND g.connected_at <= $4),
     links AS (
       DELETE FROM connect_sessions s USING linked l
        WHERE s.tenant_id = l.tenant_id AND s.created_at <= $4
          AND (s.external_user_id = l.external_user_id OR lower(s.expected_email) = lower(l.email))),
     meetings_found AS (
       DELETE FROM meetings m USING linked l
        WHERE m.tenant_id = l.tenant_id AND m.external_user_id = l.external_user_id AND l.organization_id IS NULL
          AND m.source <> 'api'),
     account AS (DELETE FROM account_users u USING tokens x WHERE u.grant_id = x.grant_id),
     meetings_of_organizations AS (
       DELETE FROM meetings m USING linked l
        WHERE m.tenant_id = l.tenant_id AND m.organization_id = l.organization_id AND m.source <> 'api'),
     trail AS (
       ${AUDIT_INSERT}
       SELECT gen_random_uuid(), l.tenant_id, 'zoom', 'grant.erased', l.grant_id, NULL, jsonb_build_object('reason', $5::text)
         FROM (SELECT DISTINCT tenant_id, grant_id FROM linked) l)
     SELECT gone.id, x.grant_id IS NOT NULL AS "isEnded" FROM gone LEFT JOIN tokens x ON x.grant_id = gone.id`,
  )

const END_USER = endingOf('grant_end_user', OF_USER)
const END_ACCOUNT = endingOf('grant_end_account', OF_ACCOUNT)

/** Of two such events the later counts, in whatever order they come. */
const setActive = (label: string, blockedReason: string) =>
  statement(
    label,
    `UPDATE grants g SET user_event_at = $4, blocked_reason = ${blockedReason}
      WHERE ${OF_USER} AND g.connected_at <= $4 AND COALESCE(g.user_event_at < $4, true) RETURNING g.id`,
  )
const DEACTIVATED = setActive('grant_user_deactivated', `'user_deactivated'`)
/** An admin's block of the app is another matter. */
const ACTIVATED = setActive('grant_user_activated', `NULLIF(g.blocked_reason, 'user_deactivated')`)
/** By compare-and-set on the former number: events come in any order. */
const PMI_MOVED = statement(
  'grant_pmi_moved',
  `UPDATE grants SET pmi = $4 WHERE zoom_app_id = $1 AND zoom_user_id = $2 AND pmi = $3`,
)
const KNOWN = statement(
  'grant_ending_known',
  `SELECT EXISTS (SELECT FROM grants g WHERE (${OF_USER}) OR (${OF_ACCOUNT})
       OR g.zoom_app_id = $1 AND g.zoom_user_id = erased_zoom_user($1, $2)) AS "isKnown"`,
)

// each lost race means that a refresh or a consent was stored in between
const MAX_TRIES = 20

export interface EndingsDeps {
  sql: Sql
  /** This process forgets what it holds of the grant; the others read its state before each use. */
  forget: (grantId: string) => void
}

/** What Zoom tells of users: who took the app away, who is gone, who is locked out. Every function throws store_unavailable. */
export function createEndings({ sql, forget }: EndingsDeps) {
  async function outcomeOf({ zoomAppId, zoomUserId, zoomAccountId }: Ending, ids: string[]): Promise<EndingOutcome> {
    for (const id of ids) forget(id)
    if (ids.length > 0) return 'applied'
    const [row] = await sql.rows<{ isKnown: boolean }>(KNOWN, [zoomAppId, zoomUserId, zoomAccountId])
    return row?.isKnown ? 'older' : 'unknown_user'
  }
  const idsOf = (rows: { id: string }[]) => rows.map(({ id }) => id)
  return {
    /** `ofAccount`: the app was removed from the whole account; only for apps of kind `account`. */
    async end(ending: Ending, reason: EndingReason, ofAccount: boolean): Promise<EndingOutcome> {
      const { zoomAppId, zoomUserId, zoomAccountId, at } = ending
      const values = [zoomAppId, zoomUserId, zoomAccountId, at, reason]
      const ended: string[] = []
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        // what an earlier try ended has another name now and is not found again
        const found = await sql.rows<{ id: string; isEnded: boolean }>(ofAccount ? END_ACCOUNT : END_USER, values)
        ended.push(...idsOf(found.filter(({ isEnded }) => isEnded)))
        if (found.every(({ isEnded }) => isEnded)) return await outcomeOf(ending, ended)
      }
      throw new Error('a grant moved at every try to end it')
    },
    /** The user's personal meeting number is another one now. */
    async movePmi(zoomAppId: string, zoomUserId: string, former: string, pmi: string): Promise<void> {
      await sql.rows(PMI_MOVED, [zoomAppId, zoomUserId, former, pmi])
    },
    /** Locked out, or let in again: a fact about the user, which leaves the tokens as they are. */
    async setActive(ending: Ending, isActive: boolean): Promise<EndingOutcome> {
      const { zoomAppId, zoomUserId, zoomAccountId, at } = ending
      const change = isActive ? ACTIVATED : DEACTIVATED
      const rows = await sql.rows<{ id: string }>(change, [zoomAppId, zoomUserId, zoomAccountId, at])
      return await outcomeOf(ending, idsOf(rows))
    },
  }
}
