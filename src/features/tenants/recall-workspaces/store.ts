import type { Prisma, PrismaClient } from '../../../generated/prisma/client.ts'
import { type Sql, statement } from '../../../lib/sql.ts'

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

export interface RecallWorkspaceStore {
  create(tenantId: string, id: string, workspace: WorkspaceChange & { region: string }): Promise<void>
  /** The set given stays, by hash: rows of known secrets keep their id, missing ones go, new ones come. */
  replaceSecrets(tenantId: string, workspaceId: string, secrets: SealedSecret[]): Promise<void>
  update(tenantId: string, id: string, change: WorkspaceChange): Promise<boolean>
  remove(tenantId: string, id: string): Promise<boolean>
  byId(tenantId: string, id: string): Promise<RecallWorkspace | null>
  list(tenantId: string, limit: number, afterId: string | null): Promise<RecallWorkspace[]>
  hashesOf(tenantId: string, workspaceId?: string): Promise<Uint8Array[]>
  secretsServing(tenantId: string): Promise<ServingRow[]>
  /** Which of the hashes another tenant's workspace has. */
  countAtOthersAcrossTenants(tenantId: string, hashes: Uint8Array[]): Promise<number>
  /** Changes one after the other over all tenants until the transaction ends: a rule over several tenants is then checked once. */
  lockAcrossTenants(): Promise<void>
  transaction<T>(work: (store: RecallWorkspaceStore) => Promise<T>): Promise<T>
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

const SERVING = statement(
  'recall_secrets_serving',
  `SELECT s.id, s.secret_ct AS "secretCt",
          (w.signature_mode = 'observe' AND w.observe_until IS NOT NULL AND w.observe_until > now()) AS "isObserving"
     FROM recall_secrets s JOIN recall_workspaces w ON w.tenant_id = s.tenant_id AND w.id = s.workspace_id
    WHERE s.tenant_id = $1 ORDER BY s.id DESC`,
)

const bytes = (hash: Uint8Array) => new Uint8Array(hash)

/** `sql` runs the one statement that is on the minting path. */
export function createRecallWorkspaceStore(db: PrismaClient, sql: Sql): RecallWorkspaceStore {
  return storeOn(db, sql, (work) => db.$transaction((tx) => work(storeOn(tx, sql, nested))))
}

const nested = () => Promise.reject(new Error('a transaction of this store holds no other'))

function storeOn(
  db: Prisma.TransactionClient,
  sql: Sql,
  transaction: RecallWorkspaceStore['transaction'],
): RecallWorkspaceStore {
  return {
    transaction,
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
    secretsServing: (tenantId) => sql.rows<ServingRow>(SERVING, [tenantId]),
    async countAtOthersAcrossTenants(tenantId, hashes) {
      const where = { tenantId: { not: tenantId }, secretHash: { in: hashes.map(bytes) } }
      return await db.recallSecret.count({ where })
    },
    async lockAcrossTenants() {
      await db.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('recall_secrets', 0))`
    },
  }
}
