import type { Prisma, PrismaClient } from '../../../generated/prisma/client.ts'
import { type MintSql, mintStatement, type Sql, statement } from '../../../lib/sql.ts'
import { perTenant, withTenant } from '../../../plugins/with-tenant.ts'

export type SignatureMode = 'require' | 'observe'

export interface RecallWorkspace {
  id: string
  region: string
  hasApiKey: boolean
  signatureMode: SignatureMode
  observeUntil: Date | null
  secrets: { id: string; createdAt: Date }[]
  createdAt: Date
  updatedAt: Date
}

/** A verification secret, sealed to its row. */
export interface SealedSecret {
  id: string
  secretCt: Uint8Array<ArrayBuffer>
  /** SHA-256 of the key bytes. */
  secretHash: Uint8Array<ArrayBuffer>
}

export interface WorkspaceChange {
  region?: string
  apiKeyCt?: Uint8Array<ArrayBuffer> | null
  signatureMode?: SignatureMode
  observeUntil?: Date | null
}

/** One secret that serves a tenant's passes, and whether its workspace still lets unsigned requests through. */
export interface ServingRow {
  id: string
  secretCt: Uint8Array
  isObserving: boolean
}

interface TenantStore {
  create(tenantId: string, id: string, workspace: WorkspaceChange & { region: string }): Promise<void>
  /** The set given stays, by hash: rows of known secrets keep their id, missing ones go, new ones come. */
  replaceSecrets(tenantId: string, workspaceId: string, secrets: SealedSecret[]): Promise<void>
  update(tenantId: string, id: string, change: WorkspaceChange): Promise<boolean>
  remove(tenantId: string, id: string): Promise<boolean>
  byId(tenantId: string, id: string): Promise<RecallWorkspace | null>
  list(tenantId: string, limit: number, afterId: string | null): Promise<RecallWorkspace[]>
  hashesOf(tenantId: string, workspaceId?: string): Promise<Uint8Array[]>
}

interface PlainStore {
  /** How many secrets of other tenants equal one that serves this tenant: its own, or the environment's where it has none. */
  countPlainConflictsAcrossTenants(tenantId: string, environmentHashes: Uint8Array[]): Promise<number>
}

/** Inside a transaction. */
export interface LockedStore extends TenantStore, PlainStore {
  /** Changes one after the other over all tenants until the transaction ends: a rule over several tenants is then checked once. */
  lockAcrossTenants(): Promise<void>
}

export interface RecallWorkspaceStore extends TenantStore, PlainStore {
  /** How many secrets of other tenants' workspaces have one of the hashes. */
  countAtOthersAcrossTenants(tenantId: string, hashes: Uint8Array[]): Promise<number>
  secretsServing(tenantId: string): Promise<ServingRow[]>
  transaction<T>(tenantId: string, work: (store: LockedStore) => Promise<T>): Promise<T>
}

const select = {
  id: true,
  region: true,
  apiKeyCt: true,
  signatureMode: true,
  observeUntil: true,
  createdAt: true,
  updatedAt: true,
  secrets: { select: { id: true, createdAt: true }, orderBy: { id: 'asc' } },
} satisfies Prisma.RecallWorkspaceSelect

type Selected = Prisma.RecallWorkspaceGetPayload<{ select: typeof select }>

const toWorkspace = ({ apiKeyCt, signatureMode, ...row }: Selected): RecallWorkspace => ({
  ...row,
  hasApiKey: apiKeyCt !== null,
  signatureMode: signatureMode as SignatureMode,
})

const SERVING = mintStatement(
  'recall_secrets_serving',
  `SELECT s.id, s.secret_ct AS "secretCt",
          (w.signature_mode = 'observe' AND w.observe_until IS NOT NULL AND w.observe_until > now()) AS "isObserving"
     FROM recall_secrets s JOIN recall_workspaces w ON w.tenant_id = s.tenant_id AND w.id = s.workspace_id
    WHERE s.tenant_id = $1 ORDER BY s.id DESC`,
)

const COUNT_AT_OTHERS = statement(
  'recall_secrets_at_others',
  'SELECT count(*)::int AS count FROM recall_secrets WHERE tenant_id <> $1 AND secret_hash = ANY ($2::bytea[])',
)

/** $1 the tenant whose plain URLs are answered, $2 the environment's hashes */
const PLAIN_CONFLICTS = statement(
  'recall_secrets_plain_conflicts',
  `WITH own AS (SELECT secret_hash FROM recall_secrets WHERE tenant_id = $1),
   serving AS (
     SELECT secret_hash FROM own UNION ALL SELECT unnest($2::bytea[]) WHERE NOT EXISTS (SELECT FROM own))
   SELECT count(*)::int AS count FROM recall_secrets s
    WHERE s.tenant_id <> $1 AND s.secret_hash IN (SELECT secret_hash FROM serving)`,
)

const buffers = (hashes: Uint8Array[]) => hashes.map((hash) => Buffer.from(hash))

export interface RecallWorkspaceStoreDeps {
  prisma: PrismaClient
  sql: Sql
  /** Runs the one statement that is on the minting path. */
  mint: MintSql
}

export function createRecallWorkspaceStore({ prisma, sql, mint }: RecallWorkspaceStoreDeps): RecallWorkspaceStore {
  return {
    ...perTenant(prisma, tenantStore),
    transaction: (tenantId, work) => withTenant(prisma, tenantId, (tx) => work(lockedStore(tx))),
    secretsServing: (tenantId) => mint.rows<ServingRow>(SERVING, [tenantId]),
    async countAtOthersAcrossTenants(tenantId, hashes) {
      const [row] = await sql.rows<{ count: number }>(COUNT_AT_OTHERS, [tenantId, buffers(hashes)])
      return row?.count ?? 0
    },
    async countPlainConflictsAcrossTenants(tenantId, hashes) {
      const [row] = await sql.rows<{ count: number }>(PLAIN_CONFLICTS, [tenantId, buffers(hashes)])
      return row?.count ?? 0
    },
  }
}

/** Everything over the transaction's own connection: who waits for the lock must not need another one. */
const lockedStore = (tx: Prisma.TransactionClient): LockedStore => ({
  ...tenantStore(tx),
  async countPlainConflictsAcrossTenants(tenantId, hashes) {
    const [row] = await tx.$queryRawUnsafe<{ count: number }[]>(PLAIN_CONFLICTS.text, tenantId, buffers(hashes))
    return row?.count ?? 0
  },
  async lockAcrossTenants() {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('recall_secrets', 0))`
  },
})

function tenantStore(db: Prisma.TransactionClient): TenantStore {
  return {
    async create(tenantId, id, workspace) {
      await db.recallWorkspace.create({ data: { id, tenantId, ...workspace }, select: { id: true } })
    },
    async replaceSecrets(tenantId, workspaceId, secrets) {
      const kept = secrets.map(({ secretHash }) => secretHash)
      await db.recallSecret.deleteMany({ where: { tenantId, workspaceId, secretHash: { notIn: kept } } })
      const data = secrets.map((secret) => ({ ...secret, tenantId, workspaceId }))
      await db.recallSecret.createMany({ data, skipDuplicates: true })
    },
    async update(tenantId, id, change) {
      const data = { ...change, updatedAt: new Date() }
      const { count } = await db.recallWorkspace.updateMany({ where: { tenantId, id }, data })
      return count > 0
    },
    async remove(tenantId, id) {
      const { count } = await db.recallWorkspace.deleteMany({ where: { tenantId, id } })
      return count > 0
    },
    async byId(tenantId, id) {
      const row = await db.recallWorkspace.findUnique({ where: { tenantId_id: { tenantId, id } }, select })
      return row && toWorkspace(row)
    },
    async list(tenantId, limit, afterId) {
      const where = { tenantId, ...(afterId ? { id: { lt: afterId } } : {}) }
      const rows = await db.recallWorkspace.findMany({ where, select, orderBy: { id: 'desc' }, take: limit })
      return rows.map(toWorkspace)
    },
    async hashesOf(tenantId, workspaceId) {
      const where = { tenantId, ...(workspaceId ? { workspaceId } : {}) }
      return (await db.recallSecret.findMany({ where, select: { secretHash: true } })).map((row) => row.secretHash)
    },
  }
}
