import { uuidv7 } from '../lib/ids.ts'
import { type Sql, statement } from '../lib/sql.ts'

/** One line of the audit trail. It outlives what it tells of, so it names ids, never a token, an address or a person. */
export interface AuditEntry {
  /** Null for what belongs to no tenant. */
  tenantId: string | null
  /** `operator`, `key:<id>`, `zoom`, `cli` or `job`. */
  actor: string
  /** In the form `host.released`. */
  action: string
  subjectId: string | null
  requestId: string | null
  details: Record<string, string | number | boolean | null>
}

/**
 * The head of an INSERT, for a statement that makes the change and writes its line in one commit. `id` comes first; where one
 * statement writes several lines, `gen_random_uuid()` serves.
 */
export const AUDIT_INSERT = 'INSERT INTO audit_events (id, tenant_id, actor, action, subject_id, request_id, details)'

const NOTE = statement('audit_note', `${AUDIT_INSERT} VALUES ($1, $2, $3, $4, $5, $6, $7)`)

/** Appends lines that stand for a change of their own; lines of a change in the database go with its statement. */
export function createAuditLog(sql: Sql) {
  return {
    /** @throws store_unavailable */
    async note({ tenantId, actor, action, subjectId, requestId, details }: AuditEntry): Promise<void> {
      await sql.rows(NOTE, [uuidv7(), tenantId, actor, action, subjectId, requestId, JSON.stringify(details)])
    },
  }
}
