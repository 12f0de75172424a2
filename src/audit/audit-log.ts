import { uuidv7 } from '../lib/ids.ts'
import { type Sql, statement } from '../lib/sql.ts'
import { ageOf } from '../retention.ts'

/** One line of the audit trail. It outlives what it tells of, so it names ids, never a token, a name or a mail address. */
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

/** A request, or a command, that is about to be carried out; its outcome follows. */
export interface OpenLine {
  id: string
  tenantId: string | null
  actor: string
  /** The route's operationId, or the like of a command. */
  action: string
  /** Ids and meeting numbers of the path. */
  subjectIds: string[]
  requestId: string | null
  /** Whence it came. */
  address: string | null
}

/** What a request came to. */
export interface LineOutcome {
  id: string
  /** `done`, `replayed`, or the code of the error. */
  outcome: string
  /** HTTP's. */
  status: number | null
  /** The id of what was made. */
  madeId: string | null
}

/** Refusals of one kind from one address. */
export interface RefusalLine {
  tenantId: string | null
  actor: string
  action: string
  /** Of the first of them. */
  requestId: string
  /** Null where too many addresses were refused in this minute. */
  address: string | null
  outcome: string
  status: number
  count: number
}

/**
 * The head of an INSERT, for a statement that makes the change and writes its line in one commit. `id` comes first; where one
 * statement writes several lines, `gen_random_uuid()` serves.
 */
export const AUDIT_INSERT = 'INSERT INTO audit_events (id, tenant_id, actor, action, subject_id, request_id, details)'

const PURGED_AT_ONCE = 1000
const PURGES_PER_ROUND = 100

const NOTE = statement('audit_note', `${AUDIT_INSERT} VALUES ($1, $2, $3, $4, $5, $6, $7)`)
const OPEN = statement(
  'audit_open',
  `INSERT INTO audit_events (id, tenant_id, actor, action, subject_ids, request_id, address, outcome)
   SELECT id, tenant_id, actor, action, ARRAY(SELECT json_array_elements_text(subject_ids)), request_id, address, NULL
     FROM json_to_recordset($1::json)
       AS u (id uuid, tenant_id uuid, actor text, action text, subject_ids json, request_id text, address text)`,
)
/** Once only: an outcome whose write was not confirmed is written again, and that must change nothing. */
const SETTLE = statement(
  'audit_settle',
  `UPDATE audit_events a
      SET outcome = u.outcome, status = u.status,
          subject_ids = CASE WHEN u.made_id IS NULL THEN a.subject_ids ELSE a.subject_ids || u.made_id END
     FROM json_to_recordset($1::json) AS u (id uuid, outcome text, status int, made_id text)
    WHERE a.id = u.id AND a.outcome IS NULL`,
)
/** What one line stands for, and the minute: its id is a hash of that (UUID version 8), so that all replicas write the same line. */
const LINE_ID = `overlay(overlay(left(encode(sha256(convert_to(concat_ws('|', extract(epoch FROM date_trunc('minute', now()))::bigint,
  action, COALESCE(tenant_id::text, ''), actor, COALESCE(address, '')), 'UTF8')), 'hex'), 32) PLACING '8' FROM 13) PLACING '8' FROM 17)::uuid`
const COUNT_REFUSALS = statement(
  'audit_count_refusals',
  `INSERT INTO audit_events AS a (id, tenant_id, actor, action, request_id, address, outcome, status, count)
   SELECT ${LINE_ID}, tenant_id, actor, action, request_id, address, outcome, status, count
     FROM json_to_recordset($1::json)
       AS u (tenant_id uuid, actor text, action text, request_id text, address text, outcome text, status int, count int)
   ON CONFLICT (id) DO UPDATE SET count = a.count + excluded.count`,
)
const PURGE = statement(
  'audit_purge',
  `DELETE FROM audit_events WHERE id IN (
     SELECT id FROM audit_events WHERE at < now() - ${ageOf('audit_events')} ORDER BY at LIMIT $1) RETURNING 1`,
)

export type AuditLog = ReturnType<typeof createAuditLog>

/** The writer of `audit_events`; lines of a change in the database go with its statement. @throws store_unavailable */
export function createAuditLog(sql: Sql) {
  return {
    /** Appends a line that stands for a change of its own. */
    async note({ tenantId, actor, action, subjectId, requestId, details }: AuditEntry): Promise<void> {
      await sql.rows(NOTE, [uuidv7(), tenantId, actor, action, subjectId, requestId, JSON.stringify(details)])
    },
    async open(lines: OpenLine[]): Promise<void> {
      const rows = lines.map(({ id, tenantId, actor, action, subjectIds, requestId, address }) => ({
        id,
        tenant_id: tenantId,
        actor,
        action,
        subject_ids: subjectIds,
        request_id: requestId,
        address,
      }))
      await sql.rows(OPEN, [JSON.stringify(rows)])
    },
    async settle(outcomes: LineOutcome[]): Promise<void> {
      const rows = outcomes.map(({ id, outcome, status, madeId }) => ({ id, outcome, status, made_id: madeId }))
      await sql.rows(SETTLE, [JSON.stringify(rows)])
    },
    /** Adds to the lines of this minute, in the order given: one and the same in all replicas, or they wait for each other. */
    async countRefusals(lines: RefusalLine[]): Promise<void> {
      const rows = lines.map(({ tenantId, requestId, ...line }) => ({
        ...line,
        tenant_id: tenantId,
        request_id: requestId,
      }))
      await sql.rows(COUNT_REFUSALS, [JSON.stringify(rows)])
    },
    /** Deletes what is older than 400 days, so much at a time. */
    async purgeAcrossTenants(signal: AbortSignal): Promise<void> {
      for (let round = 0; round < PURGES_PER_ROUND && !signal.aborted; round++)
        if ((await sql.rows(PURGE, [PURGED_AT_ONCE])).length < PURGED_AT_ONCE) return
    },
  }
}
