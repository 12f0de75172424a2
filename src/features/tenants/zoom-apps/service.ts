import { AppError, invalidField } from '../../../errors.ts'
import { type CursorCodec, toPage } from '../../../lib/cursor.ts'
import { uuidv7 } from '../../../lib/ids.ts'
import type { SecretBox } from '../../../secrets/box.ts'
import { createEnvironmentApp, type EnvironmentApp } from './environment-app.ts'
import { openSecrets, rotate, sealSecrets } from './sealed-secrets.ts'
import type { ZoomAppKind, ZoomAppRow, ZoomAppStore } from './store.ts'
import { createWebhookApps } from './webhook-apps.ts'

/** A Zoom app as it may be shown. */
export interface ZoomApp {
  id: string
  clientId: string
  kind: ZoomAppKind
  tenantId: string | null
  redirectUri: string
  managedBy: 'environment' | 'api'
  hasWebhookSecret: boolean
  hasPreviousSecret: boolean
  hasPreviousWebhookSecret: boolean
  webhookValidatedAt: Date | null
  eventsMissedAt: Date | null
  createdAt: Date
}

export interface NewZoomAppInput {
  clientId: string
  clientSecret: string
  kind: ZoomAppKind
  webhookSecretToken: string | null
  redirectUri: string | null
  tenantId: string | null
}

export interface ZoomAppUpdate {
  clientSecret?: string | undefined
  webhookSecretToken?: string | null | undefined
  redirectUri?: string | null | undefined
  dropPrevious: boolean
}

/** What an authorisation request needs of an app. */
export interface ConnectableApp {
  zoomAppId: string
  clientId: string
  redirectUri: string
}

export interface ZoomAppDeps {
  store: ZoomAppStore
  box: SecretBox
  cursors: CursorCodec
  now: () => number
  requireTenant: (tenantId: string) => Promise<unknown>
  /** Deletes the app's grants that nobody links any more, with whatever tokens they hold. */
  forgetGrants: (zoomAppId: string) => Promise<unknown>
  environment: EnvironmentApp | null
  /** Where Zoom sends the browser back to, for an app that names nothing else. */
  defaultRedirectUri: string
  isProduction: boolean
}

export type ZoomAppService = ReturnType<typeof createZoomAppService>

const LIST_SCOPE = { tenantId: 'operator', list: 'zoom-apps', filter: {} }
const NO_SECRET = { current: null, previous: null }
// each lost race means that somebody else's change went in between
const MAX_TRIES = 5

const unknownApp = () => new AppError('not_found', 'No such Zoom app.')
const kindTaken = (kind: ZoomAppKind, isShared: boolean) =>
  new AppError('conflict', `${isShared ? 'There is a shared' : 'The tenant has a'} Zoom app of kind ${kind} already.`)

function checkRedirectUri(value: string | null | undefined, isProduction: boolean): void {
  if (!value || value.startsWith('https:')) return
  const isLoopback = ['localhost', '127.0.0.1', '[::1]'].includes(new URL(value).hostname)
  if (!isProduction && isLoopback) return
  throw invalidField('redirect_uri', 'must be https (http only on loopback, outside production)')
}

/** The operator's Zoom apps: the environment's, shared ones, and those of one tenant. */
export function createZoomAppService(deps: ZoomAppDeps) {
  const { store, box, cursors, now, environment, defaultRedirectUri } = deps
  const { isEnvironmentApp, ensureEnvironmentApp } = createEnvironmentApp({ store, environment })

  function shown(row: ZoomAppRow): ZoomApp {
    const { id, clientId, kind, tenantId, managedBy, createdAt, webhookValidatedAt, eventsMissedAt } = row
    const isLiving = (until: Date | null) => until !== null && until.getTime() > now()
    const fromEnvironment = isEnvironmentApp(row) ? environment : null
    return {
      id,
      clientId,
      kind,
      tenantId,
      managedBy,
      createdAt,
      redirectUri: fromEnvironment?.redirectUri ?? row.redirectUri ?? defaultRedirectUri,
      hasWebhookSecret: fromEnvironment ? fromEnvironment.webhookSecrets.length > 0 : row.webhookSecretCt !== null,
      hasPreviousSecret: fromEnvironment
        ? fromEnvironment.clientSecrets.length > 1
        : isLiving(row.previousClientSecretUntil),
      hasPreviousWebhookSecret: fromEnvironment
        ? fromEnvironment.webhookSecrets.length > 1
        : isLiving(row.previousWebhookSecretUntil),
      webhookValidatedAt,
      eventsMissedAt,
    }
  }

  const connectable = (row: ZoomAppRow): ConnectableApp => ({
    zoomAppId: row.id,
    clientId: row.clientId,
    redirectUri: shown(row).redirectUri,
  })

  async function changeable(id: string): Promise<ZoomAppRow> {
    const row = await store.byId(id)
    if (!row) throw unknownApp()
    if (isEnvironmentApp(row))
      throw new AppError('conflict', 'This Zoom app comes from the environment of the service; change it there.')
    return row
  }

  /** A former environment's app has no secret here: giving it one makes it an app of the API. */
  async function adoption(row: ZoomAppRow, change: ZoomAppUpdate): Promise<Partial<Pick<ZoomAppRow, 'managedBy'>>> {
    if (row.managedBy === 'api') return {}
    if (!change.clientSecret)
      throw new AppError(
        'conflict',
        'This Zoom app came from the environment, which has another now; give client_secret.',
      )
    const others = await store.ofOwner(row.tenantId, row.kind)
    if (others.some((other) => other.id !== row.id && (other.managedBy === 'api' || isEnvironmentApp(other))))
      throw kindTaken(row.kind, true)
    return { managedBy: 'api' }
  }

  async function sharedApp(kind: ZoomAppKind): Promise<ConnectableApp | null> {
    const rows = await store.ofOwner(null, kind)
    const row = rows.find(isEnvironmentApp) ?? rows.find(({ managedBy }) => managedBy === 'api')
    return row ? connectable(row) : null
  }

  return {
    ensureEnvironmentApp,
    ...createWebhookApps({
      store,
      box,
      now,
      environment,
      isEnvironmentApp,
      sharedAppId: async () => (await sharedApp('user'))?.zoomAppId,
    }),
    sharedApp,
    /** The app of this kind to connect with: the tenant's own, else the shared one, else null. */
    async forConnect(tenantId: string, kind: ZoomAppKind): Promise<ConnectableApp | null> {
      const [own] = await store.ofOwner(tenantId, kind)
      return own ? connectable(own) : await sharedApp(kind)
    },
    /** Client id and secrets, the new one first; null where the app is unknown or its secret went with the environment. */
    async credentialsOf(
      zoomAppId: string,
    ): Promise<{ clientId: string; clientSecrets: string[]; kind: ZoomAppKind } | null> {
      const row = await store.byId(zoomAppId)
      if (!row) return null
      const { clientId, kind } = row
      if (isEnvironmentApp(row)) return { clientId, kind, clientSecrets: environment?.clientSecrets ?? [] }
      const { client } = await openSecrets(box, row, now())
      if (client.current === null) return null
      return { clientId, kind, clientSecrets: [client.current, ...(client.previous ? [client.previous.value] : [])] }
    },
    /** @throws not_found (tenant), zoom_app_exists, conflict (one per kind and owner), invalid_request */
    async create(input: NewZoomAppInput): Promise<ZoomApp> {
      const { clientId, kind, tenantId, redirectUri } = input
      checkRedirectUri(redirectUri, deps.isProduction)
      if (tenantId !== null) await deps.requireTenant(tenantId)
      const id = uuidv7()
      const secrets = {
        client: { current: input.clientSecret, previous: null },
        webhook: { current: input.webhookSecretToken, previous: null },
      }
      const sealed = await sealSecrets(box, { id, tenantId }, 0n, secrets)
      const row = {
        id,
        clientId,
        kind,
        tenantId,
        redirectUri,
        managedBy: 'api',
        secretGeneration: 0n,
        ...sealed,
      } as const
      const created = await store.create(row, environment?.clientId ?? null)
      if (created === 'client_id_taken')
        throw new AppError('zoom_app_exists', 'A Zoom app with this client_id is known.')
      if (created === 'kind_taken') throw kindTaken(kind, tenantId === null)
      return shown(created)
    },
    async list(limit: number, cursor: string | undefined) {
      const rows = await store.list(limit + 1, cursors.decode(LIST_SCOPE, cursor))
      const { data, nextCursor } = toPage(rows, limit, (position) => cursors.encode(LIST_SCOPE, position))
      return { data: data.map(shown), nextCursor }
    },
    /** @throws not_found */
    async get(id: string): Promise<ZoomApp> {
      const row = await store.byId(id)
      if (!row) throw unknownApp()
      return shown(row)
    },
    /** @throws not_found, conflict (the environment's app), invalid_request */
    async update(id: string, change: ZoomAppUpdate): Promise<ZoomApp> {
      checkRedirectUri(change.redirectUri, deps.isProduction)
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const row = await changeable(id)
        const adopted = await adoption(row, change)
        const secrets =
          row.managedBy === 'api' ? await openSecrets(box, row, now()) : { client: NO_SECRET, webhook: NO_SECRET }
        const how = { dropPrevious: change.dropPrevious, nowMs: now() }
        const sealed = await sealSecrets(box, row, row.secretGeneration + 1n, {
          client: rotate(secrets.client, change.clientSecret, how),
          webhook: rotate(secrets.webhook, change.webhookSecretToken, how),
        })
        const redirectUri = change.redirectUri === undefined ? {} : { redirectUri: change.redirectUri }
        const updated = await store.update(id, row.secretGeneration, { ...sealed, ...redirectUri, ...adopted })
        if (updated) return shown(updated)
      }
      throw new AppError('conflict', 'This Zoom app is being changed by others right now; read it again.')
    },
    /** @throws not_found, conflict while hosts or organizations link its grants */
    async remove(id: string): Promise<void> {
      await changeable(id)
      const inUse = () => new AppError('conflict', 'Hosts or organizations still use this Zoom app; delete them first.')
      if (await store.isLinked(id)) throw inUse()
      await deps.forgetGrants(id)
      const outcome = await store.remove(id)
      if (outcome === 'in_use') throw inUse()
      if (outcome === 'unknown') throw unknownApp()
    },
  }
}
