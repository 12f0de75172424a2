import { SEES_TENANTS } from '../default-tenant.ts'
import { HOLDS_PERSON } from '../grants/person.ts'
import { isUnlinked } from '../grants/unlinked.ts'
import type { Statement } from '../lib/sql.ts'
import { statement } from '../lib/sql.ts'
import { ageOf } from '../retention.ts'
import { OPERATOR_ID } from '../secrets/box.ts'
import { TENANT_TABLES } from './tables.ts'

/** One thing that must not be there: its statement gives how many there are and up to five of their ids. */
export interface Check {
  what: string
  table: string
  statement: Statement
}

// longer than any connect flow takes from its consent to its link, and than the clean-up of what has expired is late
const LATE = `interval '15 minutes'`

const counted = (label: string, from: string, id = 'id') =>
  statement(
    `erasure_${label}`,
    `SELECT count(*)::int AS count, COALESCE((array_agg(${id}::text))[1:5], '{}') AS ids FROM (SELECT ${id} FROM ${from}) found`,
  )

const IS_LET_GO = `(t.status = 'disconnected' OR t.status_reason = 'deauthorized' OR (g.connected_at < now() - ${LATE}
    AND ${isUnlinked('g.id')}))`
const GRANTS = 'grants g JOIN grant_tokens t ON t.grant_id = g.id'
export const HAS_NO_OWNER = `${SEES_TENANTS} AND d.owner_id <> '${OPERATOR_ID}'
    AND NOT EXISTS (SELECT FROM tenants t WHERE t.id = d.owner_id) AND NOT EXISTS (SELECT FROM grants g WHERE g.id = d.owner_id)`
export const HAS_NO_TENANT = `${SEES_TENANTS} AND k.scope_id <> '${OPERATOR_ID}' AND NOT EXISTS (SELECT FROM tenants t WHERE t.id = k.scope_id)`

/** Nobody links the account any more under the consent that the admin gives now, or the admin has taken the app away. */
export const IS_OF_LEFT_ACCOUNT = `${SEES_TENANTS} AND NOT EXISTS (
  SELECT FROM organizations o JOIN grants g ON g.id = o.grant_id JOIN grant_tokens k ON k.grant_id = g.id
   WHERE o.grant_id = u.grant_id AND k.consent_epoch <= o.consent_epoch AND g.zoom_user_id NOT LIKE 'erased:%')`

/** What must hold of the whole database at any time. */
export const CHECKS: Check[] = [
  {
    what: 'tokens of a grant that nobody links, or that its user took away',
    table: 'grant_tokens',
    statement: counted(
      'tokens',
      `${GRANTS} WHERE (t.refresh_ct IS NOT NULL OR t.access_ct IS NOT NULL) AND ${IS_LET_GO}`,
    ),
  },
  {
    what: 'e-mail, name or personal link of a grant that nobody links, or that its user took away',
    table: 'grants',
    statement: counted('person', `${GRANTS} WHERE ${HOLDS_PERSON} AND ${IS_LET_GO}`),
  },
  {
    what: 'user of an account that no organization links, or whose admin took the grant away',
    table: 'account_users',
    statement: counted('account_users', `account_users u WHERE ${IS_OF_LEFT_ACCOUNT}`, 'grant_id'),
  },
  {
    what: 'data key whose grant or tenant is gone',
    table: 'data_keys',
    statement: counted('data_keys', `data_keys d WHERE ${HAS_NO_OWNER}`),
  },
  {
    what: 'answer kept for a tenant that is gone',
    table: 'idempotency_keys',
    statement: counted('answers_ownerless', `idempotency_keys k WHERE ${HAS_NO_TENANT}`),
  },
  {
    what: 'answer kept longer than 24 hours',
    table: 'idempotency_keys',
    statement: counted('answers', `idempotency_keys WHERE created_at < now() - interval '24 hours' - ${LATE}`),
  },
  {
    what: 'connect session, with the address it expects, kept longer than a day after its end',
    table: 'connect_sessions',
    statement: counted('sessions', `connect_sessions WHERE expires_at < now() - interval '1 day' - ${LATE}`),
  },
  {
    what: 'connect flow, with a browser’s address, kept after its end',
    table: 'connect_flows',
    statement: counted('flows', `connect_flows WHERE expires_at < now() - ${LATE}`),
  },
  {
    what: 'line of the audit trail, with the address of who called, kept longer than 400 days and one for the job',
    table: 'audit_events',
    statement: counted('audit', `audit_events WHERE at < now() - ${ageOf('audit_events')} - interval '1 day'`),
  },
]

/** What belongs to the owner of this id beside the tables that have a tenant_id: $1 is a tenant's. */
export const OF_TENANT: Check[] = [
  {
    what: 'the tenant itself: delete it first',
    table: 'tenants',
    statement: counted('tenant', 'tenants WHERE id = $1'),
  },
  {
    what: 'data key of the tenant',
    table: 'data_keys',
    statement: counted('tenant_keys', 'data_keys WHERE owner_id = $1'),
  },
  {
    what: 'answer kept for the tenant',
    table: 'idempotency_keys',
    statement: counted('tenant_answers', 'idempotency_keys WHERE scope_id = $1'),
  },
]

/** $1 is a host's. */
export const OF_HOST: Check[] = [
  { what: 'the host itself: delete it first', table: 'hosts', statement: counted('host', 'hosts WHERE id = $1') },
]

const rowsOf = (table: string) => ({
  table,
  left: {
    what: 'row of the tenant',
    table,
    statement: counted(`rows_of_${table}`, `${table} WHERE tenant_id = $1`, 'tenant_id'),
  },
  /** Tenants that rows of the table name and that are gone; by steps through the index, since the ledger is long. */
  goneTenants: statement(
    `erasure_gone_tenants_${table}`,
    `WITH RECURSIVE named AS (
       (SELECT tenant_id FROM ${table} WHERE tenant_id IS NOT NULL ORDER BY tenant_id LIMIT 1)
       UNION ALL
       SELECT (SELECT r.tenant_id FROM ${table} r WHERE r.tenant_id > n.tenant_id ORDER BY r.tenant_id LIMIT 1)
         FROM named n WHERE n.tenant_id IS NOT NULL)
     SELECT tenant_id AS id FROM named
      WHERE tenant_id IS NOT NULL AND ${SEES_TENANTS} AND NOT EXISTS (SELECT FROM tenants t WHERE t.id = tenant_id)`,
  ),
  /** Deletes up to $2 rows of the tenant $1. */
  remove: statement(
    `erasure_delete_${table}`,
    `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${table} WHERE tenant_id = $1 LIMIT $2)) RETURNING 1`,
  ),
})

/** What each table of tenants is asked. */
export const TABLES = TENANT_TABLES.map(rowsOf)
