import type { FastifyInstance } from 'fastify'
import type { Dispatcher } from 'undici'
import { DEFAULT_TENANT_ID } from './default-tenant.ts'
import { createAuditTrail } from './features/audit/service.ts'
import { createAuditTrailStore } from './features/audit/store.ts'
import { createCompletion } from './features/connect/completion.ts'
import { createConnectFlowService } from './features/connect/flow-service.ts'
import { createConnectSessionService } from './features/connect/service.ts'
import { createConnectStore } from './features/connect/store.ts'
import { createExplain } from './features/explain/compose.ts'
import { createImportLink } from './features/hosts/import-link.ts'
import { createImportService } from './features/hosts/import-service.ts'
import { createMeetings } from './features/meetings/compose.ts'
import { createDeliveryService } from './features/notifications/deliveries.ts'
import { createDeliveryStore } from './features/notifications/delivery-store.ts'
import { createDispatch } from './features/notifications/dispatch.ts'
import { createEndpointService } from './features/notifications/endpoint-service.ts'
import { createEndpointStore } from './features/notifications/endpoint-store.ts'
import { createOutboxStore } from './features/notifications/outbox-store.ts'
import { createPayloads, type PayloadDeps } from './features/notifications/payloads.ts'
import { createPassService } from './features/passes/service.ts'
import { createPassStore } from './features/passes/store.ts'
import { createInboxStore } from './features/zoom-events/inbox-store.ts'
import { createZoomEventService, type ZoomEventDeps } from './features/zoom-events/service.ts'
import { createFoundation } from './foundation.ts'
import { createMintServices } from './mint-services.ts'
import { createOperatorServices, type OperatorServices } from './operator-services.ts'
import { createIdempotencyStore } from './plugins/idempotency-store.ts'
import type { Metrics } from './plugins/metrics.ts'
import { createWebhookSender } from './receivers/sender.ts'

export interface ServiceOptions {
  metrics: Metrics
  dispatcher: Dispatcher | undefined
  now: () => number
}

type Foundation = ReturnType<typeof createFoundation>

/** From a link in a mail to a connected host. */
function createConnectServices(app: FastifyInstance, foundation: Foundation, operator: OperatorServices) {
  const { config, prisma, sql, log } = app
  const { zoomApps, tenants, hosts, organizations } = operator
  const { vault, oauth, users, box, installation } = foundation
  const store = createConnectStore(prisma, sql)
  const completion = createCompletion({
    store,
    zoomApps,
    vault,
    hosts,
    organizations,
    oauth,
    users,
    log,
    monotonicNow: () => performance.now(),
  })
  return {
    connectSessions: createConnectSessionService({
      store,
      zoomApps,
      tenants,
      publicBaseUrl: config.PUBLIC_BASE_URL,
      isProduction: config.isProduction,
    }),
    flows: createConnectFlowService({
      store,
      zoomApps,
      completion,
      secretBox: box,
      oauthBaseUrl: config.ZOOM_OAUTH_BASE_URL,
      openTenantId: config.OPEN_CONNECT ? DEFAULT_TENANT_ID : null,
      installStartUrl: config.INSTALL_START_URL,
      isForeignDatabase: installation.isForeign,
    }),
  }
}

/** Hosts that come from another system. */
function createImports(app: FastifyInstance, foundation: Foundation, operator: OperatorServices) {
  const { vault, users, redeemer, installation } = foundation
  const { hosts, zoomApps, importStore: store } = operator
  const { log } = app
  return createImportService({
    store,
    hosts,
    appOf: (tenantId) => zoomApps.forConnect(tenantId, 'user'),
    redeemer,
    link: createImportLink({ store, hosts, ofGrant: redeemer.ofGrant, vault, users, log }),
    isForeignDatabase: installation.isForeign,
    log,
    monotonicNow: () => performance.now(),
  })
}

/** What Zoom tells, and what follows. */
function createZoomEvents(
  app: FastifyInstance,
  { box, endings, installation }: Foundation,
  deps: Pick<OperatorServices, 'zoomApps'> &
    Pick<ZoomEventDeps, 'applyToMeetings' | 'account'> &
    Pick<ServiceOptions, 'metrics' | 'now'>,
) {
  const { metrics, now, ...rest } = deps
  return createZoomEventService({
    ...rest,
    store: createInboxStore(app.sql),
    endings,
    box,
    isForeignDatabase: installation.isForeign,
    log: app.log,
    now,
    count: metrics.countZoomEvent,
  })
}

/** Who is told of what, and the way there. */
function createNotificationServices(
  app: FastifyInstance,
  { cursors, box, jobQueue }: Foundation,
  deps: Pick<PayloadDeps, 'hostOf' | 'passOf' | 'nextPassesOf' | 'connectLink'> &
    Pick<ServiceOptions, 'metrics' | 'now'>,
) {
  const { config, prisma, sql, log } = app
  const { metrics, now } = deps
  const allowsLoopback = !config.isProduction
  const sender = createWebhookSender({ allowsLoopback })
  const store = createEndpointStore(prisma, sql)
  const webhookEndpoints = createEndpointService({ store, box, cursors, allowsLoopback, now })
  const payloads = createPayloads(deps)
  const { listening: endpointsFor } = webhookEndpoints
  return {
    webhookEndpoints,
    dispatch: createDispatch({ store: createOutboxStore(prisma, sql), payloads, endpointsFor, box, queue: jobQueue }),
    deliveries: createDeliveryService({
      store: createDeliveryStore(sql),
      endpoints: webhookEndpoints,
      send: sender.send,
      box,
      cursors,
      log,
      now,
      count: metrics.countDelivery,
    }),
    closeSender: sender.close,
  }
}

/** Everything the routes, jobs and commands call. */
export function createServices(app: FastifyInstance, { metrics, dispatcher, now }: ServiceOptions) {
  const { config, prisma, sql, log } = app
  const foundation = createFoundation(app, {
    metrics,
    dispatcher,
    now,
    credentialsOf: (id) => operator.zoomApps.credentialsOf(id),
  })
  const { vault, cursors } = foundation
  const operator: OperatorServices = createOperatorServices(app, foundation, now)
  const { hosts, recallWorkspaces } = operator
  const { meetings, meetingSync, eventGaps } = createMeetings({
    ...foundation,
    prisma,
    sql,
    log,
    now,
    random: Math.random,
    count: metrics.countMissedEvents,
  })
  const passes = createPassService({
    store: createPassStore({ prisma, sql, mint: app.mintSql }),
    cursors,
    hosts,
    meetings,
    personalRooms: foundation.personalRooms,
    zoomCloud: foundation.zoomCloud,
    vault,
    refreshMarginSeconds: config.REFRESH_MARGIN_SECONDS,
    secretsServing: recallWorkspaces.secretsServing,
    publicBaseUrl: config.PUBLIC_BASE_URL,
    now,
  })
  const connect = createConnectServices(app, foundation, operator)
  const minting = createMintServices(app, foundation, metrics)
  return {
    ...foundation,
    ...operator,
    ...connect,
    imports: createImports(app, foundation, operator),
    ...createNotificationServices(app, foundation, {
      hostOf: hosts.byId,
      passOf: passes.byId,
      nextPassesOf: hosts.nextPassesOf,
      connectLink: (tenantId, input) => connect.connectSessions.create(tenantId, { ...input, returnUrl: undefined }),
      metrics,
      now,
    }),
    zoomEvents: createZoomEvents(app, foundation, {
      ...operator,
      applyToMeetings: meetings.applyEventAcrossTenants,
      account: meetingSync,
      metrics,
      now,
    }),
    meetings,
    meetingSync,
    eventGaps,
    passes,
    ...minting,
    explain: createExplain({ ...foundation, ...operator, ...minting, passes, meetings, now }),
    auditTrail: createAuditTrail({ store: createAuditTrailStore(prisma, sql), cursors }),
    idempotencyKeys: createIdempotencyStore(prisma, sql),
  }
}

export type Services = ReturnType<typeof createServices>
