import { type MintSql, mintStatement } from '../../lib/sql.ts'
import { DECIDE, isDeletedSince, isGoneSince } from './conflict-rule.ts'
import { IS_OF_CONSENT, NEW_ID } from './links.ts'

/** A connected host who may be asked whether a meeting is theirs, or an organization that may be asked whose of the account it is. */
export interface Candidate {
  grantId: string
  zoomUserId: string
  isAccount: boolean
  /** A pass for this meeting acts on their behalf, or it is an organization, which answers for many at once. */
  isFirst: boolean
  gen: string
  accessLifeSeconds: number | null
}

export interface Asking {
  /** By the database's clock, before anybody is asked. */
  at: Date
  /** Since the mint was opened, by an event, the tenant or another search, of another replica too. */
  isMapped: boolean
  /** The tenant itself has taken the mapping away: nobody is asked then. */
  isDeleted: boolean
  candidates: Candidate[]
}

const NAMED_MAX = 5
const RECENT_MAX = 5
const ORGANIZATIONS_MAX = 10
// how far back activity is looked for: by ids, which an index holds in order of time, so the size of a tenant costs nothing
const RECENT_MINTS = 200
const RECENT_HOSTS = 20

const ever = { meetingId: '$2', observedAt: "'-infinity'" }

/**
 * Whom to ask, the likeliest first: users that living passes for the meeting name, and the organizations that were connected last; then
 * hosts of the tenant's last mints, then hosts that were connected last; a grant once. Blocked ones, ones that must reconnect and ones whose consent lacks every scope for it are
 * left out: Zoom's answer is known. $1 tenant, $2 meeting, $3 scopes
 */
const ASKING = mintStatement(
  'meeting_lookup_candidates',
  `WITH named AS (
     SELECT o.external_user_id, max(p.id::text) AS rank
       FROM passes p CROSS JOIN LATERAL unnest(p.on_behalf_of) AS o (external_user_id)
      WHERE p.tenant_id = $1 AND p.meeting_id = $2 AND p.revoked_at IS NULL AND p.expires_at > now()
      GROUP BY 1 ORDER BY rank DESC LIMIT ${NAMED_MAX}),
   active AS (
     SELECT host_id, max(id::text) AS rank
       FROM (SELECT id, host_id FROM mints WHERE tenant_id = $1 ORDER BY id DESC LIMIT ${RECENT_MINTS}) m
      WHERE host_id IS NOT NULL GROUP BY 1 ORDER BY rank DESC LIMIT ${RECENT_HOSTS}),
   newest AS (SELECT id AS host_id, id::text AS rank FROM hosts WHERE tenant_id = $1 ORDER BY id DESC LIMIT ${RECENT_HOSTS}),
   likely AS (
     SELECT h.id AS host_id, 0 AS class, n.rank
       FROM named n JOIN hosts h ON h.tenant_id = $1 AND h.external_user_id = n.external_user_id
     UNION ALL SELECT host_id, 1, rank FROM active
     UNION ALL SELECT host_id, 2, rank FROM newest),
   best AS (SELECT DISTINCT ON (host_id) * FROM likely ORDER BY host_id, class, rank DESC),
   able AS (
     SELECT b.class, row_number() OVER (PARTITION BY b.class = 0 ORDER BY b.class, b.rank DESC) AS place, false AS is_account,
            s.grant_id, s.zoom_user_id, s.gen, s.access_expires_at
       FROM best b JOIN host_states s ON s.tenant_id = $1 AND s.id = b.host_id
      WHERE s.status = 'connected' AND (cardinality(s.scopes) = 0 OR s.scopes && $3::text[])
     UNION ALL
     (SELECT 0, ${NAMED_MAX} + row_number() OVER (ORDER BY s.connected_at DESC), true,
             s.grant_id, s.zoom_user_id, s.gen, s.access_expires_at
        FROM organization_states s
       WHERE s.tenant_id = $1 AND s.status = 'connected' AND s.organization_account_id = s.zoom_account_id
         AND (cardinality(s.scopes) = 0 OR s.scopes && $3::text[])
       ORDER BY s.connected_at DESC LIMIT ${ORGANIZATIONS_MAX}))
   SELECT now() AS at, EXISTS (SELECT FROM meetings m WHERE m.tenant_id = $1 AND m.meeting_id = $2) AS "isMapped",
          ${isDeletedSince({ ...ever, tenantId: '$1' })} AS "isDeleted",
          COALESCE((
            SELECT json_agg(json_build_object(
                     'grantId', grant_id, 'zoomUserId', zoom_user_id, 'isAccount', is_account, 'isFirst', class = 0, 'gen', gen::text,
                     'accessLifeSeconds', EXTRACT(EPOCH FROM access_expires_at - clock_timestamp())::float8) ORDER BY class, place)
              FROM able WHERE class = 0 OR place <= ${RECENT_MAX}), '[]') AS candidates`,
)

/** In every tenant that links the grant, as an event would be, but for those who took it away. $1 grant, $2 meeting, $3 when it was asked */
const FOUND = mintStatement(
  'meeting_lookup_found',
  `INSERT INTO meetings (id, tenant_id, meeting_id, external_user_id, source, observed_at)
   SELECT ${NEW_ID}, h.tenant_id, $2, h.external_user_id, 'lookup', $3
     FROM hosts h
    WHERE h.grant_id = $1 AND ${IS_OF_CONSENT('h')}
      AND NOT ${isGoneSince({
        tenantId: 'h.tenant_id',
        meetingId: '$2',
        externalUserId: 'h.external_user_id',
        observedAt: '$3::timestamptz',
      })}
      AND NOT ${isDeletedSince({ ...ever, tenantId: 'h.tenant_id' })}
    ORDER BY h.tenant_id
   ${DECIDE}`,
)

export type LookupStore = ReturnType<typeof createLookupStore>

/** Reads whom to ask about a meeting, and writes what Zoom answered. Every function throws store_unavailable. */
export function createLookupStore(sql: MintSql) {
  return {
    async asking(tenantId: string, meetingId: string, scopes: string[]): Promise<Asking> {
      const [row] = await sql.rows<Asking>(ASKING, [tenantId, meetingId, scopes])
      return row as Asking
    },
    async found(grantId: string, meetingId: string, at: Date): Promise<void> {
      await sql.rows(FOUND, [grantId, meetingId, at])
    },
  }
}
