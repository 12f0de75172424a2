/** How long a row lives, and since when that is counted. A job of src/jobs/tasks.ts deletes what is older. */
interface Aged {
  /** A Postgres interval. */
  after: string
  since: string
}

/**
 * The retention of every table of the database, in one place: a test finds a table that is missing here, and docs/security.md tells it to
 * people. Statements that delete by age take it from here.
 */
export const AGED = {
  account_syncs: { after: '1 day', since: 'the account was last held' },
  /** The trigger that refuses to delete a younger line says the same. */
  audit_events: { after: '400 days', since: 'the action' },
  connect_flows: { after: '0 s', since: 'its end, ten minutes after it was opened' },
  connect_sessions: { after: '1 day', since: 'its end' },
  idempotency_keys: { after: '24 hours', since: 'the request' },
  imported_tokens: { after: '90 days', since: 'the import: no refresh token lives longer' },
  meeting_deletions: { after: '8 days', since: 'the deletion: longer than Zoom repeats an event' },
  meeting_event_marks: { after: '8 days', since: 'the event' },
  meetings: { after: '30 days', since: 'the last sign of life, of what we found; what the tenant said stays' },
  mints: { after: '400 days', since: 'it was opened' },
  passes: { after: '90 days', since: 'it expired' },
  refresh_attempts: { after: '30 days', since: 'its start; what concerns a grant’s last two pairs lives for 90 days' },
  unannounced_meetings: { after: '2 hours', since: 'it was found' },
  webhook_events: { after: '30 days', since: 'what it tells of' },
  zoom_events: { after: '7 days', since: 'it was done; its text goes as it is done' },
} as const satisfies Record<string, Aged>

/** What goes with its owner, or stays. */
export const KEPT: Record<string, string> = {
  account_users: 'with the last organization of the account, or with the user at Zoom',
  api_keys: 'with its tenant, or when it is revoked',
  data_keys: 'with the grant or tenant it is for',
  database_lineages: 'stays: a row per restore or failover',
  encryption_key_checks: 'stays: a row per wrapping key',
  grant_syncs: 'with its grant, or as nobody links the grant',
  grant_tokens: 'erased as the last tenant unlinks the grant; the row goes with the grant',
  grants: 'with its Zoom app; address and name are erased as the last tenant unlinks it',
  hosts: 'when it is deleted, or with its tenant',
  installations: 'stays: one row',
  organizations: 'when it is deleted, or with its tenant',
  recall_secrets: 'with its workspace',
  recall_workspaces: 'when it is deleted, or with its tenant',
  schema_compatibility: 'stays: a row per incompatible migration',
  seen_webhook_ids: 'twice SIGNATURE_TOLERANCE_SECONDS and a minute after it was seen',
  tenants: 'when it is deleted',
  webhook_deliveries: 'with its event',
  webhook_endpoints: 'when it is deleted, or with its tenant',
  zoom_apps: 'when it is deleted, or with its tenant',
}

/** The age of a table's rows, in SQL. */
export const ageOf = (table: keyof typeof AGED) => `interval '${AGED[table].after}'`

/** The version 7 id below which every row of the table is that old: found by the primary key, without an index on a time. In SQL. */
export const leastIdOf = (table: keyof typeof AGED) =>
  `(lpad(to_hex(floor(EXTRACT(EPOCH FROM now() - ${ageOf(table)}) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid`
