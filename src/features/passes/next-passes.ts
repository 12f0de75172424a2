import { type Sql, statement } from '../../lib/sql.ts'

/** A pass that will fail while its host is not connected. */
export interface NextPass {
  passId: string
  meetingId: string
  joinAt: Date
}

/**
 * The passes that need this host, soonest first: of a meeting that is mapped to it, or on its behalf. Those of the last hour
 * count too: their bots may still be asking.
 */
const NEXT = statement(
  'passes_next_of_host',
  `SELECT p.id AS "passId", p.meeting_id AS "meetingId", p.join_at AS "joinAt"
     FROM hosts h JOIN passes p ON p.tenant_id = h.tenant_id
    WHERE h.tenant_id = $1 AND h.id = $2 AND p.revoked_at IS NULL AND p.expires_at > now()
      AND p.join_at > now() - interval '1 h'
      AND (h.external_user_id = ANY(p.on_behalf_of)
           OR EXISTS (SELECT FROM meetings m WHERE m.tenant_id = p.tenant_id AND m.meeting_id = p.meeting_id
                         AND m.external_user_id = h.external_user_id))
    ORDER BY p.join_at LIMIT $3`,
)

/** Gives the function that finds them. @throws store_unavailable */
export const createNextPasses =
  (sql: Sql) =>
  (tenantId: string, hostId: string, limit: number): Promise<NextPass[]> =>
    sql.rows<NextPass>(NEXT, [tenantId, hostId, limit])
