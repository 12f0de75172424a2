import { type Sql, statement } from '../lib/sql.ts'
import type { GrantCounts } from './metrics.ts'
import { AS_RESTORED, COUNTS, MAY_BE_RESTORED } from './statements.ts'

/** A host or organization whose user must connect again. */
export interface Patient {
  tenant: string
  kind: 'host' | 'organization'
  id: string
  externalUserId: string
  reason: string
}

/** A refresh or an authorisation that a log tells of: this generation is dead since. */
export interface SpentGeneration {
  grantId: string
  gen: number
  /** When the pair that came of it was stored, by the database's clock. */
  at: string
}

export interface Diagnosis {
  /** When the database became another one (restored, failed over, moved), the latest last; empty if it never did. */
  databaseChanges: string[]
  grants: GrantCounts['byStatus']
  /** Refreshes whose outcome is unknown and whose lease has run out. */
  openIntents: number
  toReconnect: Patient[]
  /** Stored before the database's last change, and not renewed since: may be dead already. */
  doubtful: Patient[]
}

const LINKS = `(SELECT tenant_id, 'host' AS kind, id, external_user_id, grant_id, consent_epoch FROM hosts
                UNION ALL
                SELECT tenant_id, 'organization', id, external_user_id, grant_id, consent_epoch FROM organizations)`
const PATIENT = `te.slug AS tenant, l.kind, l.id, l.external_user_id AS "externalUserId"`
const ORDER = `ORDER BY te.slug, l.kind, l.external_user_id`

const CHANGES = statement(
  'doctor_changes',
  `SELECT first_seen_at::timestamptz(0) AS "at" FROM database_lineages WHERE is_change ORDER BY number`,
)
const OPEN_INTENTS = statement(
  'doctor_open_intents',
  `SELECT count(*)::int AS count FROM grant_tokens
    WHERE status = 'connected' AND intent_gen IS NOT NULL AND (lease_until IS NULL OR lease_until < clock_timestamp())`,
)
const TO_RECONNECT = statement(
  'doctor_to_reconnect',
  `SELECT ${PATIENT}, COALESCE(CASE WHEN t.status = 'reconnect_required' THEN t.status_reason ELSE t.consent_reason END,
          'rejected_by_zoom') AS reason
     FROM ${LINKS} l JOIN tenants te ON te.id = l.tenant_id JOIN grant_tokens t ON t.grant_id = l.grant_id
    WHERE t.status = 'reconnect_required' OR l.consent_epoch < t.consent_epoch ${ORDER}`,
)
const DOUBTFUL = statement(
  'doctor_doubtful',
  `SELECT ${PATIENT}, 'stored before the database changed' AS reason
     FROM ${LINKS} l JOIN tenants te ON te.id = l.tenant_id JOIN grant_tokens t ON t.grant_id = l.grant_id
    WHERE t.status = 'connected'
      AND t.refreshed_at < (SELECT CASE WHEN $1 THEN now() ELSE max(first_seen_at) FILTER (WHERE is_change) END
                              FROM database_lineages) ${ORDER}`,
)
// a row that was stored after the line was written is a later authorisation, whatever its number
const IS_SPENT = `t.grant_id = s.grant_id AND t.gen <= s.gen AND t.refreshed_at < s.at AND ${MAY_BE_RESTORED}`
const SPENT = `unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) AS s (grant_id, gen, at)`
const FIND_SPENT = statement(
  'doctor_find_spent',
  `SELECT ${PATIENT}, 'rotated after the backup' AS reason
     FROM ${SPENT} JOIN grant_tokens t ON ${IS_SPENT} JOIN ${LINKS} l ON l.grant_id = t.grant_id
     JOIN tenants te ON te.id = l.tenant_id ${ORDER}`,
)
const MARK_SPENT = statement(
  'doctor_mark_spent',
  `UPDATE grant_tokens t SET ${AS_RESTORED}
     FROM ${SPENT} WHERE ${IS_SPENT} RETURNING t.grant_id`,
)

/** What the operator's commands read and mark, over all tenants. Every function throws store_unavailable. */
export function createDoctor(sql: Sql) {
  const columns = (spent: SpentGeneration[]) => [
    spent.map(({ grantId }) => grantId),
    spent.map(({ gen }) => gen),
    spent.map(({ at }) => at),
  ]
  return {
    /** `isUnnoted`: the database is another one than any process has noted yet. */
    async diagnose({ isUnnoted }: { isUnnoted: boolean }): Promise<Diagnosis> {
      const changes = await sql.rows<{ at: Date }>(CHANGES, [])
      const counts = await sql.rows<GrantCounts['byStatus'][number]>(COUNTS, [])
      const [open] = await sql.rows<{ count: number }>(OPEN_INTENTS, [])
      const noted = changes.map(({ at }) => at.toISOString())
      return {
        databaseChanges: isUnnoted ? [...noted, new Date().toISOString()] : noted,
        grants: counts.map(({ status, reason, count }) => ({ status, reason, count })),
        openIntents: open?.count ?? 0,
        toReconnect: await sql.rows<Patient>(TO_RECONNECT, []),
        doubtful: await sql.rows<Patient>(DOUBTFUL, [isUnnoted]),
      }
    },
    /** Whose stored pair a log proves to be spent. */
    findSpent: (spent: SpentGeneration[]): Promise<Patient[]> => sql.rows<Patient>(FIND_SPENT, columns(spent)),
    /** Marks them `restored_backup`; gives the number of grants. */
    markSpent: async (spent: SpentGeneration[]): Promise<number> => (await sql.rows(MARK_SPENT, columns(spent))).length,
  }
}
