import { AppError } from '../../errors.ts'
import { randomSecret, sha256, uuidv7 } from '../../lib/ids.ts'
import { returnUrlFault } from './return-url.ts'
import type { ConnectKind, ConnectStore, OnOtherZoomUser } from './store.ts'

/** Enough to follow a link at once; whoever holds a longer one must be named by expected_email. */
export const MIN_SESSION_SECONDS = 600

/** The Zoom app that connects for a tenant: its own, else the shared one. */
export type ForConnect = (
  tenantId: string,
  kind: 'user' | 'account',
) => Promise<{ zoomAppId: string; clientId: string; redirectUri: string } | null>

export interface ConnectSessionDeps {
  store: Pick<ConnectStore, 'createSession' | 'purgeExpiredAcrossTenants'>
  zoomApps: { forConnect: ForConnect }
  tenants: { get: (tenantId: string) => Promise<{ returnUrlOrigins: string[] }> }
  publicBaseUrl: string
  isProduction: boolean
}

export interface ConnectSessionInput {
  externalUserId: string
  kind: ConnectKind
  returnUrl: string | undefined
  expectedEmail: string | undefined
  expiresInSeconds: number
  onOtherZoomUser: OnOtherZoomUser
}

export interface CreatedConnectSession {
  id: string
  /** Holds the session's secret: shown once, stored only as a hash. */
  url: string
  expiresAt: Date
}

export type ConnectSessionService = ReturnType<typeof createConnectSessionService>

const invalid = (field: string, message: string) =>
  new AppError('invalid_request', `${field}: ${message}`, { errors: [{ path: `body/${field}`, message }] })

/** The kind of Zoom app that a kind of session needs. */
export const appKindOf = (kind: ConnectKind) => (kind === 'organization' ? 'account' : 'user')

/** Both make a stolen link worth more, so both need the address of the person it is for. */
function requireExpectedEmail({ expectedEmail, expiresInSeconds, onOtherZoomUser }: ConnectSessionInput): void {
  if (expectedEmail !== undefined) return
  if (expiresInSeconds > MIN_SESSION_SECONDS)
    throw invalid('expires_in_seconds', `above ${MIN_SESSION_SECONDS} only together with expected_email`)
  if (onOtherZoomUser === 'replace') throw invalid('on_other_zoom_user', 'replace only together with expected_email')
}

/** Connect sessions: the links that a tenant gives its users, each good for one connection. */
export function createConnectSessionService(deps: ConnectSessionDeps) {
  const { store, zoomApps, tenants, publicBaseUrl, isProduction } = deps
  return {
    /** @throws invalid_request; app_not_configured without a Zoom app of the kind; not_found for an unknown tenant */
    async create(tenantId: string, input: ConnectSessionInput): Promise<CreatedConnectSession> {
      requireExpectedEmail(input)
      const { externalUserId, kind, returnUrl = null, expectedEmail = null, onOtherZoomUser } = input
      if (returnUrl !== null) {
        const { returnUrlOrigins: origins } = await tenants.get(tenantId)
        const fault = returnUrlFault(returnUrl, { allowsHttpOnLoopback: !isProduction, origins })
        if (fault) throw invalid('return_url', fault)
      }
      const app = await zoomApps.forConnect(tenantId, appKindOf(kind))
      if (!app)
        throw new AppError(
          'app_not_configured',
          `No Zoom app of kind ${appKindOf(kind)} is configured for this tenant.`,
        )
      const id = uuidv7()
      const secret = randomSecret()
      const expiresAt = await store.createSession(tenantId, {
        id,
        secretHash: sha256(secret),
        kind,
        externalUserId,
        zoomAppId: app.zoomAppId,
        returnUrl,
        expectedEmail,
        onOtherZoomUser,
        lifeSeconds: input.expiresInSeconds,
      })
      return { id, url: `${publicBaseUrl}/zoom/oauth?session=${secret}`, expiresAt }
    },
    /** Removes what has expired. */
    purgeExpiredAcrossTenants: () => store.purgeExpiredAcrossTenants(),
  }
}
