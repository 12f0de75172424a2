import { AUDIT_INSERT } from '../../audit/audit-log.ts'
import { uuidv7 } from '../../lib/ids.ts'
import { type Sql, statement } from '../../lib/sql.ts'
import { ageOf } from '../../retention.ts'

/** What is known of a refresh token that was imported before. */
export interface ImportedToken {
  id: string
  tenantId: string
  state: 'claimed' | 'redeemed' | 'linked' | 'rejected'
  /** Why it was rejected. */
  code: string | null
  grantId: string | null
  consentEpoch: number
  /** Until when whoever claimed it may present it; 0 once that has ended. */
  leaseLeftSeconds: number
}

export interface Claim {
  id: string
  /** An earlier claim never reported: the token may be spent. */
  isRecovery: boolean
}

/** Who imports, for the trail. */
export interface Importer {
  /** `operator`, `key:<id>` or `cli`. */
  actor: string
  requestId: string | null
}

export const LEASE_SECONDS = 45

const READ = statement(
  'import_read',
  `SELECT id, tenant_id AS "tenantId", state, code, grant_id AS "grantId", consent_epoch AS "consentEpoch",
          GREATEST(0, EXTRACT(EPOCH FROM lease_until - clock_timestamp()))::float8 AS "leaseLeftSeconds"
     FROM imported_tokens WHERE zoom_app_id = $1 AND token_hash = $2`,
)

/**
 * Written before a byte is sent to Zoom, for one claimant alone. A claim whose lease has ended without a word is taken over, by
 * the tenant that made it: that is a recovery, and ends with whatever Zoom says then.
 */
const CLAIM = statement(
  'import_claim',
  `INSERT INTO imported_tokens AS i (id, tenant_id, zoom_app_id, token_hash, state, lease_until)
   VALUES ($1, $2, $3, $4, 'claimed', clock_timestamp() + interval '${LEASE_SECONDS} s')
   ON CONFLICT (zoom_app_id, token_hash) DO UPDATE SET lease_until = excluded.lease_until
     WHERE i.tenant_id = excluded.tenant_id AND i.state = 'claimed' AND i.lease_until < clock_timestamp()
   RETURNING i.id, i.id <> $1 AS "isRecovery"`,
)
const UNCLAIM = statement('import_unclaim', `DELETE FROM imported_tokens WHERE id = $1 AND state = 'claimed'`)
const END_LEASE = statement(
  'import_end_lease',
  `UPDATE imported_tokens SET lease_until = clock_timestamp() + $2 * interval '1 s' WHERE id = $1 AND state = 'claimed'`,
)

/** The pair came and is stored: this stands, also against a recovery that was told in between that the rotation was lost. */
const REDEEMED = statement(
  'import_redeemed',
  `UPDATE imported_tokens SET state = 'redeemed', code = NULL, grant_id = $2, consent_epoch = $3, redeemed_at = clock_timestamp()
    WHERE id = $1 AND state IN ('claimed', 'rejected')`,
)
const REJECTED = statement(
  'import_rejected',
  `UPDATE imported_tokens SET state = 'rejected', code = $2 WHERE id = $1 AND state IN ('claimed', 'redeemed')`,
)
const LINKED = statement(
  'import_linked',
  `WITH i AS (UPDATE imported_tokens SET state = 'linked' WHERE id = $1 AND state = 'redeemed' RETURNING tenant_id)
   ${AUDIT_INSERT}
   SELECT $2, i.tenant_id, $3, 'host.imported', $4, $5, '{}' FROM i`,
)
const UNLINKED = statement(
  'import_unlinked_grants',
  `SELECT id, grant_id AS "grantId" FROM imported_tokens WHERE tenant_id = $1 AND state = 'redeemed' LIMIT 100`,
)
/** No refresh token lives longer than 90 days: from then on Zoom refuses it without our help. */
const PURGE = statement(
  'import_purge',
  `DELETE FROM imported_tokens WHERE id IN (
     SELECT id FROM imported_tokens WHERE claimed_at < now() - ${ageOf('imported_tokens')} LIMIT 5000)`,
)

export type ImportStore = ReturnType<typeof createImportStore>

/** The one writer of `imported_tokens`. Every function throws store_unavailable. */
export function createImportStore(sql: Sql) {
  const write = (...parameters: Parameters<Sql['rows']>) => sql.rows(...parameters).then(() => undefined)
  return {
    /** Of any tenant: what one tenant claimed, another must not present again. */
    async resolve(zoomAppId: string, tokenHash: Buffer): Promise<ImportedToken | null> {
      const [row] = await sql.rows<ImportedToken>(READ, [zoomAppId, tokenHash])
      return row ?? null
    },
    /** Null where somebody else has it, or it is settled. */
    async claim(tenantId: string, zoomAppId: string, tokenHash: Buffer): Promise<Claim | null> {
      const [row] = await sql.rows<Claim>(CLAIM, [uuidv7(), tenantId, zoomAppId, tokenHash])
      return row ?? null
    },
    /** Nothing was spent under this claim. An older one, whose outcome nobody knows, stays open. */
    release: ({ id, isRecovery }: Claim) =>
      write(...((isRecovery ? [END_LEASE, [id, 0]] : [UNCLAIM, [id]]) as [typeof UNCLAIM, unknown[]])),
    /** The outcome is unknown: whoever comes after so many seconds finds out. */
    shorten: ({ id }: Claim, seconds: number) => write(END_LEASE, [id, seconds]),
    redeemed: (id: string, grant: { grantId: string; consentEpoch: number }) =>
      write(REDEEMED, [id, grant.grantId, grant.consentEpoch]),
    rejected: (id: string, code: string) => write(REJECTED, [id, code]),
    linked: (id: string, hostId: string, { actor, requestId }: Importer) =>
      write(LINKED, [id, uuidv7(), actor, hostId, requestId]),
    /** Grants that an import of the tenant brought, and that it has not linked yet. */
    redeemedOf: (tenantId: string) => sql.rows<{ id: string; grantId: string }>(UNLINKED, [tenantId]),
    purgeAcrossTenants: () => write(PURGE, []),
  }
}
