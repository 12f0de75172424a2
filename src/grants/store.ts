import type { Sql } from '../lib/sql.ts'
import * as statements from './statements.ts'

/** A grant as the vault reads it before it decides. Lives are seconds left by the database's clock. */
export interface GrantRow {
  status: 'connected' | 'reconnect_required' | 'disconnected'
  statusReason: string | null
  gen: bigint
  accessCt: Uint8Array | null
  accessLifeSeconds: number | null
  leaseOwner: string | null
  leaseLeftSeconds: number
  blockedReason: string | null
  zoomAppId: string
}

export interface Lease {
  gen: bigint
  leaseSeq: bigint
  refreshCt: Uint8Array
  /** An earlier attempt on this generation never reported: its outcome is unknown. */
  recovering: boolean
  /** Since the pair was stored. */
  pairAgeSeconds: number
}

export interface SealedPair {
  refreshCt: Buffer
  accessCt: Buffer
  expiresInSeconds: number
}

/** Beside `disconnected`: let go without being revoked, so a rotation that comes late is not revoked either. */
const KEPT_AT_ZOOM = 'kept_at_zoom'

export type GrantStore = ReturnType<typeof createGrantStore>

// pg gives int8 as text
type Raw<Row> = { [Key in keyof Row]: Row[Key] extends bigint ? string : Row[Key] }

/** The one reader and writer of grants and their tokens. `reserve` has connections that requests cannot take. */
export function createGrantStore({ sql, reserve }: { sql: Sql; reserve: Sql }) {
  const changed = async (via: Sql, statement: (typeof statements)[keyof typeof statements], values: unknown[]) =>
    (await via.rows(statement, values)).length > 0
  return {
    async read(grantId: string): Promise<GrantRow | null> {
      const [row] = await sql.rows<Raw<GrantRow>>(statements.READ, [grantId])
      return row ? { ...row, gen: BigInt(row.gen) } : null
    },
    async acquire(grantId: string, gen: bigint, owner: string, attemptId: string): Promise<Lease | null> {
      const [row] = await sql.rows<Raw<Lease>>(statements.ACQUIRE, [grantId, gen, owner, attemptId])
      return row ? { ...row, gen: BigInt(row.gen), leaseSeq: BigInt(row.leaseSeq) } : null
    },
    persist: (grantId: string, lease: Lease, pair: SealedPair, scopes: string[]) =>
      changed(reserve, statements.PERSIST, [
        grantId,
        lease.gen,
        pair.refreshCt,
        pair.accessCt,
        pair.expiresInSeconds,
        lease.leaseSeq,
        scopes,
      ]),
    async stored(grantId: string) {
      type Stored = { gen: string; status: string; refreshCt: Uint8Array | null; leaseOwner: string | null }
      const [row] = await reserve.rows<Stored>(statements.STORED, [grantId])
      return row ? { ...row, gen: BigInt(row.gen), isKeptAtZoom: row.leaseOwner === KEPT_AT_ZOOM } : null
    },
    verdict: (grantId: string, lease: Lease, reason: string, outcome: 'rejected' | 'lost') =>
      changed(reserve, statements.VERDICT, [grantId, lease.gen, lease.leaseSeq, reason, outcome]),
    release: (grantId: string, lease: Lease, pause: { seconds: number; code: string } | null) =>
      changed(sql, statements.RELEASE, [
        grantId,
        lease.gen,
        lease.leaseSeq,
        lease.recovering,
        pause?.seconds ?? 0,
        pause ? `pause:${pause.code}` : null,
        'retryable',
      ]),
    shortenLease: (grantId: string, lease: Lease) =>
      changed(sql, statements.SHORTEN, [grantId, lease.gen, lease.leaseSeq]),
    noteAmbiguous: (grantId: string, lease: Lease) =>
      sql.rows(statements.NOTE_AMBIGUOUS, [grantId, lease.leaseSeq]).then(() => undefined),
    markStale: (grantId: string, gen: bigint) => sql.rows(statements.STALE, [grantId, gen]).then(() => undefined),
    block: (grantId: string, reason: 'admin_disabled' | 'user_deactivated') =>
      sql.rows(statements.BLOCK, [grantId, reason]).then(() => undefined),
    async admitGrant(id: string, appId: string, userId: string, accountId: string | null, scopes: string[]) {
      const values = [id, appId, userId, accountId, scopes]
      const [row] = await reserve.rows<{ id: string }>(statements.ADMIT_GRANT, values)
      if (!row) throw new Error('the upsert of a grant gave no row')
      return row.id
    },
    /** The consent epoch; null where the grant has a pair already. */
    async storeFirstPair(grantId: string, pair: SealedPair): Promise<number | null> {
      const values = [grantId, pair.refreshCt, pair.accessCt, pair.expiresInSeconds]
      const [row] = await reserve.rows<{ consentEpoch: number }>(statements.FIRST_PAIR, values)
      return row?.consentEpoch ?? null
    },
    /** The consent epoch; null where the generation has moved. */
    async reconnect(grantId: string, gen: bigint, pair: SealedPair): Promise<number | null> {
      const values = [grantId, gen, pair.refreshCt, pair.accessCt, pair.expiresInSeconds]
      const [row] = await reserve.rows<{ consentEpoch: number }>(statements.RECONNECT, values)
      return row?.consentEpoch ?? null
    },
    noteProfile: (grantId: string, email: string | null, displayName: string | null) =>
      sql.rows(statements.NOTE_PROFILE, [grantId, email, displayName]).then(() => undefined),
    async isLinked(grantId: string): Promise<boolean> {
      const [row] = await sql.rows<{ isLinked: boolean }>(statements.IS_LINKED, [grantId])
      return row?.isLinked ?? false
    },
    /** The ids of the grants that are gone. */
    async forget({ zoomAppId, tenantId }: { zoomAppId?: string; tenantId?: string }): Promise<string[]> {
      const rows = await sql.rows<{ id: string }>(statements.FORGET, [zoomAppId ?? null, tenantId ?? null])
      return rows.map(({ id }) => id)
    },
    /** False where somebody links it after all, or its generation has moved. */
    disconnect: (grantId: string, gen: bigint, { revoke }: { revoke: boolean }) =>
      changed(sql, statements.DISCONNECT, [grantId, gen, revoke ? null : KEPT_AT_ZOOM]),
  }
}
