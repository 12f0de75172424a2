import type { Prisma, PrismaClient } from '../../../generated/prisma/client.ts'

export type ZoomAppKind = 'user' | 'account'

/** Sealed values; each is bound to `secretGeneration`. */
export interface SealedSecrets {
  clientSecretCt: Uint8Array<ArrayBuffer> | null
  previousClientSecretCt: Uint8Array<ArrayBuffer> | null
  previousClientSecretUntil: Date | null
  webhookSecretCt: Uint8Array<ArrayBuffer> | null
  previousWebhookSecretCt: Uint8Array<ArrayBuffer> | null
  previousWebhookSecretUntil: Date | null
}

export interface ZoomAppRow extends SealedSecrets {
  id: string
  /** Null: shared by all tenants. */
  tenantId: string | null
  kind: ZoomAppKind
  clientId: string
  managedBy: 'environment' | 'api'
  secretGeneration: bigint
  redirectUri: string | null
  createdAt: Date
  webhookValidatedAt: Date | null
  eventsMissedAt: Date | null
}

export type NewZoomApp = Omit<ZoomAppRow, 'createdAt' | 'webhookValidatedAt' | 'eventsMissedAt'>

/** What is to change; left out, it stays. */
export type ZoomAppChange = SealedSecrets & Partial<Pick<ZoomAppRow, 'redirectUri' | 'managedBy'>>

export interface ZoomAppStore {
  /** `kind_taken` where the owner has one of the kind in use already; races are decided here. */
  create(app: NewZoomApp, environmentClientId: string | null): Promise<ZoomAppRow | 'client_id_taken' | 'kind_taken'>
  /** The environment's app beside whatever there is; no effect where its client id is known. */
  addEnvironmentApp(app: NewZoomApp): Promise<void>
  byId(id: string): Promise<ZoomAppRow | null>
  byClientId(clientId: string): Promise<ZoomAppRow | null>
  list(limit: number, afterId: string | null): Promise<ZoomAppRow[]>
  ofOwner(tenantId: string | null, kind: ZoomAppKind): Promise<ZoomAppRow[]>
  /** By compare-and-set on the generation, which it raises by one. */
  update(id: string, secretGeneration: bigint, change: ZoomAppChange): Promise<ZoomAppRow | null>
  /** Whether any host or organization links a grant of the app. */
  isLinked(id: string): Promise<boolean>
  /** `in_use` while a grant points at it. */
  remove(id: string): Promise<'removed' | 'unknown' | 'in_use'>
}

const select = {
  id: true,
  tenantId: true,
  kind: true,
  clientId: true,
  managedBy: true,
  clientSecretCt: true,
  previousClientSecretCt: true,
  previousClientSecretUntil: true,
  webhookSecretCt: true,
  previousWebhookSecretCt: true,
  previousWebhookSecretUntil: true,
  secretGeneration: true,
  redirectUri: true,
  createdAt: true,
  webhookValidatedAt: true,
  eventsMissedAt: true,
} satisfies Prisma.ZoomAppSelect

type Selected = Prisma.ZoomAppGetPayload<{ select: typeof select }>

/** Kind and manager are closed sets by the table's own checks. */
const toRow = (row: Selected): ZoomAppRow => ({
  ...row,
  kind: row.kind as ZoomAppKind,
  managedBy: row.managedBy as ZoomAppRow['managedBy'],
})

export function createZoomAppStore(db: PrismaClient): ZoomAppStore {
  return {
    create: (app, environmentClientId) =>
      db.$transaction(async (db) => {
        const owner = `zoom_apps:${app.tenantId ?? 'operator'}:${app.kind}`
        // no unique key says "one per owner and kind": a former environment's app stays beside the one that replaced it
        await db.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${owner}, 0))`
        const known = await db.zoomApp.findUnique({ where: { clientId: app.clientId }, select: { id: true } })
        if (known) return 'client_id_taken'
        const inUse = [{ managedBy: 'api' }, ...(environmentClientId ? [{ clientId: environmentClientId }] : [])]
        const where = { tenantId: app.tenantId, kind: app.kind, OR: inUse }
        if ((await db.zoomApp.count({ where })) > 0) return 'kind_taken'
        const [row] = await db.zoomApp.createManyAndReturn({ data: [app], select, skipDuplicates: true })
        return row ? toRow(row) : 'client_id_taken'
      }),
    async addEnvironmentApp(app) {
      await db.zoomApp.createMany({ data: [app], skipDuplicates: true })
    },
    async byId(id) {
      const row = await db.zoomApp.findUnique({ where: { id }, select })
      return row && toRow(row)
    },
    async byClientId(clientId) {
      const row = await db.zoomApp.findUnique({ where: { clientId }, select })
      return row && toRow(row)
    },
    async list(limit, afterId) {
      const where = afterId ? { id: { lt: afterId } } : {}
      return (await db.zoomApp.findMany({ where, select, orderBy: { id: 'desc' }, take: limit })).map(toRow)
    },
    async ofOwner(tenantId, kind) {
      return (await db.zoomApp.findMany({ where: { tenantId, kind }, select, orderBy: { id: 'asc' } })).map(toRow)
    },
    async update(id, secretGeneration, change) {
      const data = { ...change, secretGeneration: secretGeneration + 1n, updatedAt: new Date() }
      const [row] = await db.zoomApp.updateManyAndReturn({ where: { id, secretGeneration }, data, select })
      return row ? toRow(row) : null
    },
    async isLinked(id) {
      const [row] = await db.$queryRaw<{ isLinked: boolean }[]>`
        SELECT EXISTS (SELECT FROM host_states WHERE zoom_app_id = ${id}::uuid)
            OR EXISTS (SELECT FROM organization_states WHERE zoom_app_id = ${id}::uuid) AS "isLinked"`
      return row?.isLinked ?? false
    },
    async remove(id) {
      try {
        const { count } = await db.zoomApp.deleteMany({ where: { id } })
        return count > 0 ? 'removed' : 'unknown'
      } catch (error) {
        if ((error as { code?: unknown }).code === 'P2003') return 'in_use'
        throw error
      }
    },
  }
}
