import type { MintSql, MintStatement, Sql } from '../lib/sql.ts'
import { RECOGNISE } from './endings.ts'
import type { GrantCounts } from './metrics.ts'
import type { Profile } from './person.ts'
import * as statements from './statements.ts'

/** A grant as the vault reads it before it decides. Lives are seconds left by the database's clock. */
export interface GrantRow {
  status: 'connected' | 'reconnect_required' | 'disconnected'
  statusReason: string | null
  gen: bigint
  accessCt: Uint8Array | null
  accessLifeSeconds: number | null
  /** Since 1970. */
  accessExpiresAtSeconds: number | null
  leaseOwner: string | null
  leaseLeftSeconds: number
  /** When this generation was stored, by the database's clock. */
  storedAtSeconds: number
  blockedReason: string | null
  zoomAppId: string
}

export interface Lease {
  gen: bigint
  leaseSeq: bigint
  refreshCt: Uint8Array
  /** An earlier attempt on this generation never reported: its outcome is unknown. */
  recovering: boolean
  /** An attempt in the history knows of a later generation: this row was put back. */
  isBehindHistory: boolean
  /** The attempt that brought this pair had another beside it whose outcome nobody saw: it may have reached Zoom later. */
  hadTwin: boolean
  /** Since the pair was stored. */
  pairAgeSeconds: number
}

export interface SealedPair {
  refreshCt: Buffer
  accessCt: Buffer
  expiresInSeconds: number
}

/** What a write of a pair meets. */
export interface StoredRow {
  gen: bigint
  status: string
  refreshCt: Uint8Array | null
  accessCt: Uint8Array | null
  leaseOwner: string | null
  /** Let go without being revoked. */
  isKeptAtZoom: boolean
  consentEpoch: number
  consentReason: string | null
  storedAtSeconds: number
  pairAgeSeconds: number
  /** A refresh brought this pair, not an authorisation. */
  isRefreshed: boolean
}

/** Under which consent it was stored: a pair that is put back must not make anybody's withdrawn consent good. */
export interface Consented {
  consentEpoch: number
  consentReason: string | null
}

/** A pair that is stored, and under which consent. */
export interface StoredPair extends Consented {
  storedAtSeconds: number
}

/** A place in the history of refreshes, oldest first. */
export interface HistoryPosition {
  startedAt: string
  id: string
}

/** Beside `disconnected`: let go without being revoked, so a rotation that comes late is not revoked either. */
export const KEPT_AT_ZOOM = 'kept_at_zoom'

const UNIQUE_VIOLATION = '23505'

export type GrantStore = ReturnType<typeof createGrantStore>

// pg gives int8 as text
type Raw<Row> = { [Key in keyof Row]: Row[Key] extends bigint ? string : Row[Key] }

export interface GrantStoreDeps {
  /** What jobs and the management of grants need. */
  sql: Sql
  /** What a mint needs. */
  mint: MintSql
  /** Connections that requests cannot take, to the same end. */
  reserve: MintSql
}

/** The one reader and writer of grants and their tokens. */
export function createGrantStore({ sql, mint, reserve }: GrantStoreDeps) {
  const changed = async (via: MintSql, statement: MintStatement, values: unknown[]) =>
    (await via.rows(statement, values)).length > 0
  return {
    async read(grantId: string): Promise<GrantRow | null> {
      const [row] = await mint.rows<Raw<GrantRow>>(statements.READ, [grantId])
      return row ? { ...row, gen: BigInt(row.gen) } : null
    },
    async acquire(grantId: string, gen: bigint, owner: string, attemptId: string): Promise<Lease | null> {
      const [row] = await mint.rows<Raw<Lease>>(statements.ACQUIRE, [grantId, gen, owner, attemptId])
      return row ? { ...row, gen: BigInt(row.gen), leaseSeq: BigInt(row.leaseSeq) } : null
    },
    /** Null where the generation has moved. */
    async persist(grantId: string, lease: Lease, pair: SealedPair, scopes: string[]): Promise<StoredPair | null> {
      const { refreshCt, accessCt, expiresInSeconds } = pair
      const values = [grantId, lease.gen, refreshCt, accessCt, expiresInSeconds, lease.leaseSeq, scopes]
      const [row] = await reserve.rows<StoredPair>(statements.PERSIST, values)
      return row ?? null
    },
    async stored(grantId: string): Promise<StoredRow | null> {
      const [row] = await reserve.rows<Raw<StoredRow>>(statements.STORED, [grantId])
      return row ? { ...row, gen: BigInt(row.gen), isKeptAtZoom: row.leaseOwner === KEPT_AT_ZOOM } : null
    },
    /** When it was stored; null where the row has changed. */
    async heal(grantId: string, gen: bigint, seenGen: bigint, pair: SealedPair & Consented): Promise<number | null> {
      const { refreshCt, accessCt, expiresInSeconds, consentEpoch, consentReason } = pair
      const values = [grantId, gen, seenGen, refreshCt, accessCt, expiresInSeconds, consentEpoch, consentReason]
      const [row] = await reserve.rows<{ storedAtSeconds: number }>(statements.HEAL, values)
      return row?.storedAtSeconds ?? null
    },
    condemnRestored: (grantId: string, gen: bigint) => changed(reserve, statements.CONDEMN_RESTORED, [grantId, gen]),
    async generations(grantIds: string[]) {
      type Found = { grantId: string; gen: string; status: string; storedAtSeconds: number }
      const rows = await sql.rows<Found>(statements.GENERATIONS, [grantIds])
      return rows.map((row) => ({ ...row, gen: BigInt(row.gen) }))
    },
    verdict: (grantId: string, lease: Lease, reason: string, outcome: 'rejected' | 'lost') =>
      changed(reserve, statements.VERDICT, [grantId, lease.gen, lease.leaseSeq, reason, outcome]),
    release: (grantId: string, lease: Lease, pause: { seconds: number; code: string } | null) =>
      changed(mint, statements.RELEASE, [
        grantId,
        lease.gen,
        lease.leaseSeq,
        lease.recovering,
        pause?.seconds ?? 0,
        pause ? `pause:${pause.code}` : null,
        'retryable',
      ]),
    shortenLease: (grantId: string, lease: Lease) =>
      changed(mint, statements.SHORTEN, [grantId, lease.gen, lease.leaseSeq]),
    noteAmbiguous: (grantId: string, lease: Lease) =>
      mint.rows(statements.NOTE_AMBIGUOUS, [grantId, lease.leaseSeq]).then(() => undefined),
    markStale: (grantId: string, gen: bigint) => mint.rows(statements.STALE, [grantId, gen]).then(() => undefined),
    block: (grantId: string, reason: 'admin_disabled' | 'user_deactivated') =>
      mint.rows(statements.BLOCK, [grantId, reason]).then(() => undefined),
    async admitGrant(id: string, appId: string, userId: string, accountId: string | null, scopes: string[]) {
      await reserve.rows(RECOGNISE, [appId, userId]).catch((error: { code?: unknown }) => {
        if (error.code !== UNIQUE_VIOLATION) throw error // another consent made a row with his name just now: it is his
      })
      const values = [id, appId, userId, accountId, scopes]
      const [row] = await reserve.rows<{ id: string }>(statements.ADMIT_GRANT, values)
      if (!row) throw new Error('the upsert of a grant gave no row')
      return row.id
    },
    /** Null where the grant has a pair already. */
    async storeFirstPair(grantId: string, pair: SealedPair): Promise<StoredPair | null> {
      const values = [grantId, pair.refreshCt, pair.accessCt, pair.expiresInSeconds]
      const [row] = await reserve.rows<StoredPair>(statements.FIRST_PAIR, values)
      return row ?? null
    },
    /** Null where the generation has moved. */
    async reconnect(grantId: string, gen: bigint, pair: SealedPair): Promise<StoredPair | null> {
      const values = [grantId, gen, pair.refreshCt, pair.accessCt, pair.expiresInSeconds]
      const [row] = await reserve.rows<StoredPair>(statements.RECONNECT, values)
      return row ?? null
    },
    async counts(): Promise<GrantCounts> {
      type Row = { status: string; reason: string | null; count: number; oldestOpenIntentSeconds: number }
      const byStatus = await sql.rows<Row>(statements.COUNTS, [])
      return { byStatus, oldestOpenIntentSeconds: Math.max(0, ...byStatus.map((row) => row.oldestOpenIntentSeconds)) }
    },
    async noteProfile(grantId: string, { email, displayName, pmi, personalLink }: Profile): Promise<void> {
      const link = [personalLink?.host ?? null, personalLink?.name ?? null]
      await sql.rows(statements.NOTE_PROFILE, [grantId, email, displayName, pmi, ...link])
    },
    /** `quietSeconds`: a consent younger than that counts as a link. */
    async isLinked(grantId: string, quietSeconds: number): Promise<boolean> {
      const [row] = await sql.rows<{ isLinked: boolean }>(statements.IS_LINKED, [grantId, quietSeconds])
      return row?.isLinked ?? false
    },
    async unlinked(limit: number, quietSeconds: number): Promise<string[]> {
      const rows = await sql.rows<{ id: string }>(statements.UNLINKED, [limit, quietSeconds])
      return rows.map(({ id }) => id)
    },
    /** Where the page ended; null where there was none any more. */
    async purgeAttempts(from: HistoryPosition, limit: number): Promise<HistoryPosition | null> {
      const values = [from.startedAt, from.id, limit]
      const [last] = await sql.rows<HistoryPosition>(statements.PURGE_ATTEMPTS, values)
      return last ?? null
    },
    /** The ids of the grants that are gone. */
    async forget({ zoomAppId, tenantId }: { zoomAppId?: string; tenantId?: string }): Promise<string[]> {
      const rows = await sql.rows<{ id: string }>(statements.FORGET, [zoomAppId ?? null, tenantId ?? null])
      return rows.map(({ id }) => id)
    },
    /** False where somebody links it after all, or its generation has moved. */
    async disconnect(
      grantId: string,
      gen: bigint,
      { revoke, quietSeconds }: { revoke: boolean; quietSeconds: number },
    ) {
      const values = [grantId, gen, revoke ? null : KEPT_AT_ZOOM, quietSeconds]
      return (await sql.rows(statements.DISCONNECT, values)).length > 0
    },
  }
}
