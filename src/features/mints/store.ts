import type { Prisma, PrismaClient } from '../../generated/prisma/client.ts'
import { perTenant } from '../../plugins/with-tenant.ts'
import type { PassKind } from '../../zoom/scopes.ts'

/** One token handed out or refused, as the ledger knows it. */
export interface Mint {
  id: string
  kind: PassKind
  /** Null for a token of no meeting. */
  meetingId: string | null
  hostId: string | null
  passId: string | null
  /** Null: not told, or not yet. */
  outcome: string | null
  reason: string | null
  zoomStatus: number | null
  zoomCode: number | null
  durationMs: number | null
  requestId: string
  createdAt: Date
}

export interface MintFilter {
  meetingId?: string | undefined
  passId?: string | undefined
  /** Null finds the untold. */
  outcome?: string | null | undefined
  kind?: PassKind | undefined
}

/** Reads the ledger; `ledger-store.ts` writes it. */
export interface MintStore {
  list(tenantId: string, filter: MintFilter, limit: number, afterId: string | null): Promise<Mint[]>
}

const select = {
  id: true,
  kind: true,
  meetingId: true,
  hostId: true,
  passId: true,
  outcome: true,
  reason: true,
  zoomStatus: true,
  zoomCode: true,
  durationMs: true,
  requestId: true,
  createdAt: true,
} satisfies Prisma.MintSelect

export const createMintStore = (prisma: PrismaClient): MintStore => perTenant(prisma, tenantStore)

function tenantStore(db: Prisma.TransactionClient): MintStore {
  return {
    async list(tenantId, { meetingId, passId, outcome, kind }, limit, afterId) {
      const where = {
        tenantId,
        ...(meetingId === undefined ? {} : { meetingId }),
        ...(passId === undefined ? {} : { passId }),
        ...(outcome === undefined ? {} : { outcome }),
        ...(kind === undefined ? {} : { kind }),
        ...(afterId === null ? {} : { id: { lt: afterId } }),
      }
      const rows = await db.mint.findMany({ where, select, orderBy: { id: 'desc' }, take: limit })
      return rows.map((row) => ({ ...row, kind: row.kind as PassKind }))
    },
  }
}
