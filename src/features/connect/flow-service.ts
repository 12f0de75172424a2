import { AppError } from '../../errors.ts'
import { randomSecret, sha256, uuidv7 } from '../../lib/ids.ts'
import type { SecretBox } from '../../secrets/box.ts'
import { authorizeUrl, newPkceVerifier, pkceChallenge } from '../../zoom/oauth.ts'
import type { Completion, Connected } from './completion.ts'
import { appKindOf, type ForConnect } from './service.ts'
import type { ConnectKind, ConnectStore, ConsumedFlow, NewFlow } from './store.ts'

/** Far above what people do behind one address or at one tenant in 10 minutes; below what would fill the table. */
const MAX_UNFINISHED = { ofAddress: 100, ofTenant: 5000 }
/** A flow lives 10 minutes, so a slot is free again by then; most are much sooner. */
const RETRY_SECONDS = 60

export interface ConnectFlowDeps {
  store: ConnectStore
  zoomApps: { forConnect: ForConnect }
  completion: Completion
  secretBox: Pick<SecretBox, 'seal' | 'open'>
  oauthBaseUrl: string
  /** The tenant that a flow without a session connects to; null where that is closed. */
  openTenantId: string | null
  installStartUrl: string | undefined
  /** In a copy of another installation's database an exchange would end the pair that the original lives on. */
  isForeignDatabase: () => boolean
}

/** What Zoom brought back; absent as undefined. */
export interface CallbackQuery {
  state?: string | undefined
  code?: string | undefined
  error?: string | undefined
}

/** Where the browser goes, and what binds it to the flow that has been started for it. */
export interface Opened {
  location: string
  flow: { state: string; binding: string } | null
}

export type Ended =
  | { outcome: 'elsewhere'; location: string }
  | ({ outcome: 'connected'; returnUrl: string | null; tenantName: string } & Connected)
  | { outcome: 'failed'; returnUrl: string | null; tenantName: string; failure: unknown }

export type ConnectFlowService = ReturnType<typeof createConnectFlowService>

const invalidFlow = (reason: string) =>
  new AppError('invalid_flow', 'This link has been used, has expired, or was opened in another browser.', { reason })

const placeOf = (tenantId: string, flowId: string) => ({
  ownerId: tenantId,
  table: 'connect_flows',
  column: 'verifier_ct',
  rowId: flowId,
  generation: 0,
})

/** One opening of a connect link, from the link to the result. */
export function createConnectFlowService(deps: ConnectFlowDeps) {
  const { store, zoomApps, completion, secretBox, oauthBaseUrl, openTenantId, installStartUrl, isForeignDatabase } =
    deps

  function refuseInForeignDatabase(): void {
    if (isForeignDatabase())
      throw new AppError(
        'foreign_database',
        'This database is a copy of another installation’s; nothing connects here.',
      )
  }

  async function targetOf(sessionSecret: string | undefined) {
    if (sessionSecret === undefined)
      return openTenantId ? { tenantId: openTenantId, sessionId: null, kind: 'host' as ConnectKind } : null
    const session = await store.resolveSession(sha256(sessionSecret))
    if (!session) throw invalidFlow('session_unusable')
    return session
  }

  /** Voids what the session had open, and keeps within the bounds. @throws invalid_flow, rate_limited */
  function start(tenantId: string, flow: NewFlow): Promise<void> {
    return store.transaction(tenantId, async (store) => {
      if (flow.sessionId) {
        // held, so that of two openings at once the later one finds the flow of the other
        if (!(await store.lockSession(tenantId, flow.sessionId))) throw invalidFlow('session_unusable')
        await store.voidFlows(tenantId, flow.sessionId)
      }
      const { ofAddress, ofTenant } = await store.countUnfinished(tenantId, flow.address)
      if (ofAddress >= MAX_UNFINISHED.ofAddress || ofTenant >= MAX_UNFINISHED.ofTenant) {
        const reason = ofAddress >= MAX_UNFINISHED.ofAddress ? 'flows_of_address' : 'flows_of_tenant'
        const wait = { retryAfterSeconds: RETRY_SECONDS, reason }
        throw new AppError('rate_limited', 'Too many connections have been started and not finished; wait.', wait)
      }
      await store.createFlow(tenantId, flow)
    })
  }

  /** Uses the state up, before anything else can go wrong. @throws invalid_flow, and no row has changed */
  async function resolve(state: string, binding: string | null): Promise<ConsumedFlow> {
    if (binding === null) throw invalidFlow('no_binding_cookie')
    const flow = await store.resolveFlow(sha256(state), sha256(binding))
    if (!flow) throw invalidFlow('state_unusable')
    return flow
  }

  /** The code of an authentic callback. @throws access_denied, connect_failed, invalid_request */
  function codeOf({ code, error }: CallbackQuery): string {
    if (code !== undefined && error === undefined) return code
    if (code === undefined && error === 'access_denied')
      throw new AppError('access_denied', 'Access was declined on Zoom’s page.')
    if (code === undefined && error !== undefined)
      throw new AppError('connect_failed', 'Zoom could not complete the request.', { reason: 'error_from_zoom' })
    throw new AppError('invalid_request', 'Zoom’s answer is neither a success nor a failure.', {
      reason: 'code_and_error',
    })
  }

  return {
    /**
     * Starts a fresh flow and says where the browser goes for the user's consent.
     * @throws invalid_flow, app_not_configured, rate_limited, foreign_database
     * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1
     */
    async open(sessionSecret: string | undefined, address: string): Promise<Opened> {
      refuseInForeignDatabase()
      const target = await targetOf(sessionSecret)
      if (!target) {
        if (installStartUrl) return { location: installStartUrl, flow: null }
        throw invalidFlow('no_session')
      }
      const { tenantId, sessionId, kind } = target
      const app = await zoomApps.forConnect(tenantId, appKindOf(kind))
      if (!app) throw new AppError('app_not_configured', 'No Zoom app is configured here yet.')
      const [id, state, binding, verifier] = [uuidv7(), randomSecret(), randomSecret(), newPkceVerifier()]
      const { zoomAppId, clientId, redirectUri } = app
      const verifierCt = await secretBox.seal(placeOf(tenantId, id), verifier)
      const hashes = { stateHash: sha256(state), browserHash: sha256(binding) }
      await start(tenantId, { id, sessionId, zoomAppId, ...hashes, verifierCt, redirectUri, address })
      const codeChallenge = pkceChallenge(verifier)
      const location = authorizeUrl({ oauthBaseUrl, clientId, redirectUri, state, codeChallenge })
      return { location, flow: { state, binding } }
    },

    /**
     * Takes Zoom's answer. Whatever happens to an authentic flow is an outcome, so that it can be told where the session wants it.
     * @throws invalid_flow when the state is not this browser's living one: no row changes, Zoom is not asked; foreign_database
     */
    async callback(query: CallbackQuery, binding: string | null): Promise<Ended> {
      if (query.state === undefined) {
        const isInstall = query.code !== undefined && query.error === undefined
        if (isInstall && installStartUrl) return { outcome: 'elsewhere', location: installStartUrl }
        throw invalidFlow('no_state')
      }
      refuseInForeignDatabase()
      const flow = await resolve(query.state, binding)
      const { returnUrl, tenantName } = flow
      try {
        const code = codeOf(query)
        const codeVerifier = await secretBox.open(placeOf(flow.tenantId, flow.id), flow.verifierCt)
        return {
          outcome: 'connected',
          returnUrl,
          tenantName,
          ...(await completion.complete(flow, { code, codeVerifier })),
        }
      } catch (failure) {
        return { outcome: 'failed', returnUrl, tenantName, failure }
      }
    },
  }
}
