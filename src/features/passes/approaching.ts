import { statement } from '../../lib/sql.ts'

/** A grant that a bot is about to need, whose access token would not last until it has come. */
export interface ApproachingGrant {
  grantId: string
  /** What its access token should have left now. */
  leastSeconds: number
}

/**
 * Grants of passes whose bot comes within 10 minutes, or is up to 2 minutes late, and whose access token would then be in the
 * margin ($1 seconds) in which a mint renews it. Of each pass those that a mint would ask (contract §5): the meeting's host;
 * for OBF the users named instead; for join an organization where no connected host is before it.
 * A token is never asked to have more than three quarters of the life that it was issued with: however long the margin, a new
 * one is new enough. Soonest first and bounded; the next round sees what this one leaves.
 */
export const APPROACHING = statement(
  'passes_approaching',
  `WITH due AS (
     SELECT p.join_at, s.grant_id, n.least_seconds
       FROM passes p
       LEFT JOIN meetings m ON m.tenant_id = p.tenant_id AND m.meeting_id = p.meeting_id
       LEFT JOIN host_states h ON h.tenant_id = p.tenant_id AND h.external_user_id = m.external_user_id
      CROSS JOIN LATERAL (
        SELECT h.grant_id, h.access_expires_at, h.refreshed_at
         WHERE h.status = 'connected' AND (p.kinds && ARRAY['join', 'zak'] OR cardinality(p.on_behalf_of) = 0)
        UNION ALL
        SELECT c.grant_id, c.access_expires_at, c.refreshed_at FROM host_states c
         WHERE c.tenant_id = p.tenant_id AND c.external_user_id = ANY (p.on_behalf_of) AND c.status = 'connected'
           AND 'obf' = ANY (p.kinds)
        UNION ALL
        SELECT o.grant_id, o.access_expires_at, o.refreshed_at FROM organization_states o
         WHERE o.tenant_id = p.tenant_id AND o.status = 'connected' AND 'join' = ANY (p.kinds)
           AND (o.id = m.organization_id
                OR (m.organization_id IS NULL AND o.organization_account_id = h.zoom_account_id))
           AND COALESCE(h.status, 'none') NOT IN ('connected', 'blocked')) s
      CROSS JOIN LATERAL (
        SELECT LEAST(EXTRACT(EPOCH FROM p.join_at - now())::float8 + 120 + $1::float8,
                     0.75 * EXTRACT(EPOCH FROM s.access_expires_at - s.refreshed_at)::float8) AS least_seconds) n
      WHERE p.join_at > now() - interval '2 minutes' AND p.join_at < now() + interval '10 minutes'
        AND p.revoked_at IS NULL AND p.expires_at > now()
        AND COALESCE(s.access_expires_at < now() + n.least_seconds * interval '1 s', true))
   SELECT grant_id AS "grantId", max(least_seconds) AS "leastSeconds" FROM due
    GROUP BY grant_id ORDER BY min(join_at) LIMIT 500`,
)
