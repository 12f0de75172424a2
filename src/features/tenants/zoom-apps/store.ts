import type { PrismaClient } from '../../../generated/prisma/client.ts'
import { type Sql, type Statement, statement } from '../../../lib/sql.ts'

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

// An app may belong to no tenant, and a tenant's own is the operator's to change: all of it is done across tenants.

type Raw = Omit<ZoomAppRow, 'secretGeneration'> & { secretGeneration: string | bigint }

const toRow = (row: Raw): ZoomAppRow => ({ ...row, secretGeneration: BigInt(row.secretGeneration) })
const firstOf = (rows: Raw[]): ZoomAppRow | null => (rows[0] ? toRow(rows[0]) : null)

const COLUMNS = `id, tenant_id AS "tenantId", kind, client_id AS "clientId", managed_by AS "managedBy", client_secret_ct AS "clientSecretCt",
  previous_client_secret_ct AS "previousClientSecretCt", previous_client_secret_until AS "previousClientSecretUntil",
  webhook_secret_ct AS "webhookSecretCt", previous_webhook_secret_ct AS "previousWebhookSecretCt",
  previous_webhook_secret_until AS "previousWebhookSecretUntil", secret_generation AS "secretGeneration", redirect_uri AS "redirectUri",
  created_at AS "createdAt", webhook_validated_at AS "webhookValidatedAt", events_missed_at AS "eventsMissedAt"`

const BY_ID = statement('zoom_app_by_id', `SELECT ${COLUMNS} FROM zoom_apps WHERE id = $1`)
const BY_CLIENT_ID = statement('zoom_app_by_client_id', `SELECT ${COLUMNS} FROM zoom_apps WHERE client_id = $1`)
const LIST = statement(
  'zoom_apps_list',
  `SELECT ${COLUMNS} FROM zoom_apps WHERE $2::uuid IS NULL OR id < $2 ORDER BY id DESC LIMIT $1`,
)
/** $1 owner, $2 kind. No index answers IS NOT DISTINCT FROM: it would read the apps of all tenants at every connect. */
const BELONGS = '(tenant_id = $1::uuid OR ($1::uuid IS NULL AND tenant_id IS NULL)) AND kind = $2'
const OF_OWNER = statement('zoom_apps_of_owner', `SELECT ${COLUMNS} FROM zoom_apps WHERE ${BELONGS} ORDER BY id`)
/** $1 owner, $2 kind, $3 the environment's client id or null */
const IN_USE = statement(
  'zoom_app_kind_in_use',
  `SELECT id FROM zoom_apps WHERE ${BELONGS} AND (managed_by = 'api' OR client_id = $3::text) LIMIT 1`,
)
const ADD = statement(
  'zoom_app_add',
  `INSERT INTO zoom_apps (id, tenant_id, kind, client_id, managed_by, client_secret_ct, previous_client_secret_ct,
                          previous_client_secret_until, webhook_secret_ct, previous_webhook_secret_ct, previous_webhook_secret_until,
                          secret_generation, redirect_uri)
   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
   ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
)
/** $3 whether a redirect URI is given, $4 which; $5 a manager, or null */
const UPDATE = statement(
  'zoom_app_update',
  `UPDATE zoom_apps
      SET secret_generation = secret_generation + 1, updated_at = now(), redirect_uri = CASE WHEN $3::boolean THEN $4::text ELSE redirect_uri END,
          managed_by = COALESCE($5::text, managed_by), client_secret_ct = $6, previous_client_secret_ct = $7,
          previous_client_secret_until = $8, webhook_secret_ct = $9, previous_webhook_secret_ct = $10, previous_webhook_secret_until = $11
    WHERE id = $1 AND secret_generation = $2
   RETURNING ${COLUMNS}`,
)
const IS_LINKED = statement(
  'zoom_app_is_linked',
  `SELECT EXISTS (SELECT FROM host_states WHERE zoom_app_id = $1)
       OR EXISTS (SELECT FROM organization_states WHERE zoom_app_id = $1) AS "isLinked"`,
)
const REMOVE = statement('zoom_app_remove', 'DELETE FROM zoom_apps WHERE id = $1 RETURNING id')

const FOREIGN_KEY_VIOLATION = '23503'

const secretsOf = (secrets: SealedSecrets) => [
  secrets.clientSecretCt,
  secrets.previousClientSecretCt,
  secrets.previousClientSecretUntil,
  secrets.webhookSecretCt,
  secrets.previousWebhookSecretCt,
  secrets.previousWebhookSecretUntil,
]
const valuesOf = ({
  id,
  tenantId,
  kind,
  clientId,
  managedBy,
  secretGeneration,
  redirectUri,
  ...secrets
}: NewZoomApp) => [
  ...[id, tenantId, kind, clientId, managedBy],
  ...secretsOf(secrets),
  ...[secretGeneration, redirectUri],
]

export function createZoomAppStore(prisma: PrismaClient, sql: Sql): ZoomAppStore {
  return {
    create: (app, environmentClientId) =>
      prisma.$transaction(async (tx) => {
        const owner = `zoom_apps:${app.tenantId ?? 'operator'}:${app.kind}`
        // no unique key says "one per owner and kind": a former environment's app stays beside the one that replaced it
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${owner}, 0))`
        const run = (statement: Statement, values: unknown[]) => tx.$queryRawUnsafe<Raw[]>(statement.text, ...values)
        if ((await run(BY_CLIENT_ID, [app.clientId])).length > 0) return 'client_id_taken'
        if ((await run(IN_USE, [app.tenantId, app.kind, environmentClientId])).length > 0) return 'kind_taken'
        return firstOf(await run(ADD, valuesOf(app))) ?? 'client_id_taken'
      }),
    async addEnvironmentApp(app) {
      await sql.rows(ADD, valuesOf(app))
    },
    byId: async (id) => firstOf(await sql.rows<Raw>(BY_ID, [id])),
    byClientId: async (clientId) => firstOf(await sql.rows<Raw>(BY_CLIENT_ID, [clientId])),
    list: async (limit, afterId) => (await sql.rows<Raw>(LIST, [limit, afterId])).map(toRow),
    ofOwner: async (tenantId, kind) => (await sql.rows<Raw>(OF_OWNER, [tenantId, kind])).map(toRow),
    async update(id, secretGeneration, { redirectUri, managedBy, ...secrets }) {
      const values = [id, secretGeneration, redirectUri !== undefined, redirectUri ?? null, managedBy ?? null]
      return firstOf(await sql.rows<Raw>(UPDATE, [...values, ...secretsOf(secrets)]))
    },
    async isLinked(id) {
      const [row] = await sql.rows<{ isLinked: boolean }>(IS_LINKED, [id])
      return row?.isLinked ?? false
    },
    async remove(id) {
      try {
        return (await sql.rows(REMOVE, [id])).length > 0 ? 'removed' : 'unknown'
      } catch (error) {
        if ((error as { code?: unknown }).code === FOREIGN_KEY_VIOLATION) return 'in_use'
        throw error
      }
    },
  }
}
