import { AUDIT_INSERT } from '../audit/audit-log.ts'
import { type Sql, statement } from '../lib/sql.ts'

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
export const RECOGNISE = statement(
  'grant_recognise',
  `UPDATE grants SET zoom_user_id = $2
    WHERE zoom_app_id = $1 AND zoom_user_id = erased_zoom_user(zoom_app_id, $2)
      AND NOT EXISTS (SELECT FROM grants x WHERE x.zoom_app_id = $1 AND x.zoom_user_id = $2)`,
)

/** The grants of this user, of this app alone; a grant that does not know its account is recognised by the user. */
const OF_USER = `g.zoom_app_id = $1 AND g.zoom_user_id IN ($2, erased_zoom_user(g.zoom_app_id, $2))
       AND ($3::text IS NULL OR g.zoom_account_id IS NULL OR g.zoom_account_id = $3)`
/** An account-level app is installed for a whole account: whoever of it gave the grant. */
const OF_ACCOUNT = `g.zoom_app_id = $1 AND $2::text IS NOT NULL AND g.zoom_account_id = $3`

/**
 * Ends grants at once and for good: tokens and what is known of the person are erased, the generation moves, so that a refresh in
 * flight can neither store nor condemn anything. In the same commit go what was kept beside the grant because of that person
 * (links made for their address, meetings we found), and a line of the trail for each tenant.
 */
const endingOf = (label: string, who: string) =>
  statement(
    label,
    `WITH gone AS (
       SELECT g.id, g.email FROM grants g JOIN grant_tokens t ON t.grant_id = g.id
        WHERE ${who} AND g.connected_at <= $4
          FOR UPDATE OF t), -- the tokens first, as every statement that stores a pair does
     linked AS (
       SELECT h.tenant_id, h.external_user_id, gone.email FROM hosts h JOIN gone ON gone.id = h.grant_id
       UNION ALL
       SELECT o.tenant_id, o.external_user_id, gone.email FROM organizations o JOIN gone ON gone.id = o.grant_id),
     tokens AS (
       UPDATE grant_tokens t
          SET gen = t.gen + 1, status = CASE WHEN t.status = 'disconnected' THEN t.status ELSE 'reconnect_required' END,
              status_reason = CASE WHEN t.status = 'disconnected' THEN t.status_reason ELSE $5 END,
              refresh_ct = NULL, access_ct = NULL, access_expires_at = NULL, lease_until = NULL, lease_owner = NULL,
              intent_gen = NULL, intent_at = NULL
         FROM gone WHERE t.grant_id = gone.id),
     person AS (
       UPDATE grants g SET email = NULL, display_name = NULL, zoom_account_id = NULL, blocked_reason = NULL,
              zoom_user_id = erased_zoom_user(g.zoom_app_id, g.zoom_user_id)
         FROM gone WHERE g.id = gone.id AND g.connected_at <= $4),
     links AS (
       DELETE FROM connect_sessions s USING linked l
        WHERE s.tenant_id = l.tenant_id AND s.created_at <= $4
          AND (s.external_user_id = l.external_user_id OR lower(s.expected_email) = lower(l.email))),
     meetings_found AS (
       DELETE FROM meetings m USING linked l
        WHERE m.tenant_id = l.tenant_id AND m.external_user_id = l.external_user_id AND m.source <> 'api'),
     trail AS (
       ${AUDIT_INSERT}
       SELECT gen_random_uuid(), l.tenant_id, 'zoom', 'grant.erased', l.grant_id, NULL, jsonb_build_object('reason', $5::text)
         FROM (SELECT DISTINCT h.tenant_id, h.grant_id FROM hosts h JOIN gone ON gone.id = h.grant_id
               UNION SELECT DISTINCT o.tenant_id, o.grant_id FROM organizations o JOIN gone ON gone.id = o.grant_id) l)
     SELECT id FROM gone`,
  )

const END_USER = endingOf('grant_end_user', OF_USER)
const END_ACCOUNT = endingOf('grant_end_account', OF_ACCOUNT)

const DEACTIVATED = statement(
  'grant_user_deactivated',
  `UPDATE grants g SET blocked_reason = 'user_deactivated' WHERE ${OF_USER} AND g.connected_at <= $4 RETURNING g.id`,
)
const ACTIVATED = statement(
  'grant_user_activated',
  `UPDATE grants g SET blocked_reason = NULL
    WHERE ${OF_USER} AND g.connected_at <= $4 AND g.blocked_reason = 'user_deactivated' RETURNING g.id`,
)
const KNOWN = statement(
  'grant_ending_known',
  `SELECT EXISTS (SELECT FROM grants g WHERE (${OF_USER}) OR (${OF_ACCOUNT})) AS "isKnown"`,
)

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
      return await outcomeOf(ending, idsOf(await sql.rows<{ id: string }>(ofAccount ? END_ACCOUNT : END_USER, values)))
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
