import type { Prisma, PrismaClient } from '../../generated/prisma/client.ts'
import { type Sql, statement } from '../../lib/sql.ts'
import { perTenant, withTenant } from '../../plugins/with-tenant.ts'
import { ageOf } from '../../retention.ts'

export type ConnectKind = 'host' | 'organization'
export type OnOtherZoomUser = 'refuse' | 'replace'

export interface NewSession {
  id: string
  secretHash: Buffer
  kind: ConnectKind
  externalUserId: string
  zoomAppId: string
  returnUrl: string | null
  expectedEmail: string | null
  onOtherZoomUser: OnOtherZoomUser
  lifeSeconds: number
}

export interface NewFlow {
  id: string
  sessionId: string | null
  zoomAppId: string
  stateHash: Buffer
  browserHash: Buffer
  verifierCt: Buffer
  redirectUri: string
  address: string
}

/** A flow whose state has just been used up, with all that its session said. */
export interface ConsumedFlow {
  id: string
  tenantId: string
  tenantName: string
  zoomAppId: string
  redirectUri: string
  verifierCt: Uint8Array
  /** Null: open connect, and so are the fields that only a session has. */
  sessionId: string | null
  kind: ConnectKind
  externalUserId: string | null
  returnUrl: string | null
  expectedEmail: string | null
  onOtherZoomUser: OnOtherZoomUser
}

interface TenantConnectStore {
  /** Gives the time at which it expires. */
  createSession(tenantId: string, session: NewSession): Promise<Date>
  /** True for one caller only. */
  spendSession(tenantId: string, sessionId: string): Promise<boolean>
  /** Undoes a spending whose link was refused, so that the link can be opened again. */
  reviveSession(tenantId: string, sessionId: string): Promise<void>
}

/** Inside a transaction. */
export interface OpeningStore {
  /** Holds a living session for the rest of the transaction; false when it is gone. */
  lockSession(tenantId: string, sessionId: string): Promise<boolean>
  /** Ends the session's unfinished flows: their states and cookies are worth nothing from here on. */
  voidFlows(tenantId: string, sessionId: string): Promise<void>
  /** Of the tenant, and from the address whatever the tenant. */
  countUnfinished(tenantId: string, address: string): Promise<{ ofTenant: number; ofAddress: number }>
  /** A flow lives 10 minutes. */
  createFlow(tenantId: string, flow: NewFlow): Promise<void>
}

/** Sessions and flows. All times are the database's: a replica's clock decides nothing. */
export interface ConnectStore extends TenantConnectStore {
  transaction<T>(tenantId: string, work: (store: OpeningStore) => Promise<T>): Promise<T>
  /** Before the tenant is known: a session that is neither spent nor expired. */
  resolveSession(secretHash: Buffer): Promise<{ tenantId: string; sessionId: string; kind: ConnectKind } | null>
  /** Before the tenant is known: uses a state up, in the browser that it was given to; null changes no row. */
  resolveFlow(stateHash: Buffer, browserHash: Buffer): Promise<ConsumedFlow | null>
  purgeExpiredAcrossTenants(): Promise<{ sessions: number; flows: number }>
}

const RESOLVE_SESSION = statement(
  'connect_session_resolve',
  `SELECT tenant_id::text AS "tenantId", id::text AS "sessionId", kind
     FROM connect_sessions WHERE secret_hash = $1 AND spent_at IS NULL AND expires_at > now()`,
)
/**
 * One statement decides between callbacks in parallel. It reads the row twice (f, o): the verifier is returned as it was before it is
 * erased. $1 state, $2 browser
 */
const RESOLVE_FLOW = statement(
  'connect_flow_resolve',
  `UPDATE connect_flows f SET consumed_at = now(), verifier_ct = NULL
     FROM connect_flows o
     JOIN tenants t ON t.id = o.tenant_id
     LEFT JOIN connect_sessions s ON s.tenant_id = o.tenant_id AND s.id = o.session_id
    WHERE f.id = o.id AND f.state_hash = $1 AND f.browser_hash = $2
      AND f.consumed_at IS NULL AND f.expires_at > now()
      AND (o.session_id IS NULL OR (s.spent_at IS NULL AND s.expires_at > now()))
   RETURNING f.id::text, f.tenant_id::text AS "tenantId", t.name AS "tenantName", f.zoom_app_id::text AS "zoomAppId",
             f.redirect_uri AS "redirectUri", o.verifier_ct AS "verifierCt", f.session_id::text AS "sessionId",
             COALESCE(s.kind, 'host') AS kind, s.external_user_id AS "externalUserId", s.return_url AS "returnUrl",
             s.expected_email AS "expectedEmail", COALESCE(s.on_other_zoom_user, 'refuse') AS "onOtherZoomUser"`,
)
const COUNT_UNFINISHED = statement(
  'connect_flows_unfinished',
  `SELECT (SELECT count(*)::int FROM connect_flows
            WHERE tenant_id = $1 AND consumed_at IS NULL AND expires_at > now()) AS "ofTenant",
          (SELECT count(*)::int FROM connect_flows
            WHERE address = $2 AND consumed_at IS NULL AND expires_at > now()) AS "ofAddress"`,
)
const PURGE_FLOWS = statement(
  'connect_flows_purge',
  `DELETE FROM connect_flows WHERE expires_at < now() - ${ageOf('connect_flows')} RETURNING 1`,
)
/** A day longer than they live, for whoever looks into a question about one. */
const PURGE_SESSIONS = statement(
  'connect_sessions_purge',
  `DELETE FROM connect_sessions WHERE expires_at < now() - ${ageOf('connect_sessions')} RETURNING 1`,
)

/** The one writer of `connect_sessions` and `connect_flows`. */
export function createConnectStore(prisma: PrismaClient, sql: Sql): ConnectStore {
  return {
    ...perTenant(prisma, tenantStore),
    transaction: (tenantId, work) => withTenant(prisma, tenantId, (tx) => work(openingStore(tx))),
    async resolveSession(secretHash) {
      const [row] = await sql.rows<{ tenantId: string; sessionId: string; kind: ConnectKind }>(RESOLVE_SESSION, [
        secretHash,
      ])
      return row ?? null
    },
    async resolveFlow(stateHash, browserHash) {
      const [row] = await sql.rows<ConsumedFlow>(RESOLVE_FLOW, [stateHash, browserHash])
      return row ?? null
    },
    async purgeExpiredAcrossTenants() {
      const { length: flows } = await sql.rows(PURGE_FLOWS, [])
      const { length: sessions } = await sql.rows(PURGE_SESSIONS, [])
      return { sessions, flows }
    },
  }
}

function tenantStore(db: Prisma.TransactionClient): TenantConnectStore {
  return {
    async createSession(tenantId: string, session: NewSession): Promise<Date> {
      const { id, secretHash, kind, externalUserId, zoomAppId, returnUrl, expectedEmail, onOtherZoomUser } = session
      const rows = await db.$queryRaw<{ expiresAt: Date }[]>`
        INSERT INTO connect_sessions (id, tenant_id, secret_hash, kind, external_user_id, zoom_app_id, return_url,
                                      expected_email, on_other_zoom_user, expires_at)
        VALUES (${id}::uuid, ${tenantId}::uuid, ${secretHash}, ${kind}, ${externalUserId}, ${zoomAppId}::uuid, ${returnUrl},
                ${expectedEmail}, ${onOtherZoomUser}, now() + make_interval(secs => ${session.lifeSeconds}::int))
        RETURNING expires_at AS "expiresAt"`
      const [row] = rows
      if (!row) throw new Error('an insert gave no row')
      return row.expiresAt
    },
    async spendSession(tenantId: string, sessionId: string): Promise<boolean> {
      // no look at expires_at: whoever came back from Zoom in time is not sent away for the seconds that the exchange took
      const spent = await db.$executeRaw`
        UPDATE connect_sessions SET spent_at = now()
         WHERE tenant_id = ${tenantId}::uuid AND id = ${sessionId}::uuid AND spent_at IS NULL`
      return spent === 1
    },
    async reviveSession(tenantId: string, sessionId: string): Promise<void> {
      await db.$executeRaw`
        UPDATE connect_sessions SET spent_at = NULL WHERE tenant_id = ${tenantId}::uuid AND id = ${sessionId}::uuid`
    },
  }
}

function openingStore(db: Prisma.TransactionClient): OpeningStore {
  return {
    async lockSession(tenantId: string, sessionId: string): Promise<boolean> {
      const rows = await db.$queryRaw<unknown[]>`
        SELECT 1 FROM connect_sessions
         WHERE tenant_id = ${tenantId}::uuid AND id = ${sessionId}::uuid AND spent_at IS NULL AND expires_at > now()
           FOR UPDATE`
      return rows.length > 0
    },
    async voidFlows(tenantId: string, sessionId: string): Promise<void> {
      await db.$executeRaw`
        DELETE FROM connect_flows
         WHERE tenant_id = ${tenantId}::uuid AND session_id = ${sessionId}::uuid AND consumed_at IS NULL`
    },
    async countUnfinished(tenantId, address) {
      type Counts = { ofTenant: number; ofAddress: number }
      const [row] = await db.$queryRawUnsafe<Counts[]>(COUNT_UNFINISHED.text, tenantId, address)
      return row ?? { ofTenant: 0, ofAddress: 0 }
    },
    async createFlow(tenantId: string, flow: NewFlow): Promise<void> {
      const { id, sessionId, zoomAppId, stateHash, browserHash, verifierCt, redirectUri, address } = flow
      await db.$executeRaw`
        INSERT INTO connect_flows (id, tenant_id, session_id, zoom_app_id, state_hash, browser_hash, verifier_ct,
                                   redirect_uri, address, expires_at)
        VALUES (${id}::uuid, ${tenantId}::uuid, ${sessionId}::uuid, ${zoomAppId}::uuid, ${stateHash}, ${browserHash},
                ${verifierCt}, ${redirectUri}, ${address}, now() + interval '10 minutes')`
    },
  }
}
