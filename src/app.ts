import sensible from '@fastify/sensible'
import Fastify, { type FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { DestinationStream } from 'pino'
import type { Dispatcher } from 'undici'
import { config, parseConfig } from './config.ts'
import { DEFAULT_TENANT_ID } from './default-tenant.ts'
import { auditRoutes } from './features/audit/routes.ts'
import { connectPageRoutes } from './features/connect/page-routes.ts'
import { connectSessionRoutes } from './features/connect/routes.ts'
import { explainRoutes } from './features/explain/routes.ts'
import { healthRoutes } from './features/health/routes.ts'
import { importRoutes } from './features/hosts/import-routes.ts'
import { releaseRoutes } from './features/hosts/release-routes.ts'
import { hostRoutes } from './features/hosts/routes.ts'
import { meetingRoutes } from './features/meetings/routes.ts'
import { syncRoutes } from './features/meetings/sync-routes.ts'
import { mintRoutes } from './features/mints/routes.ts'
import { deliveryRoutes } from './features/notifications/delivery-routes.ts'
import { endpointRoutes } from './features/notifications/endpoint-routes.ts'
import { organizationRoutes } from './features/organizations/routes.ts'
import { passRoutes } from './features/passes/routes.ts'
import { apiKeyRoutes } from './features/tenants/api-keys/routes.ts'
import { recallWorkspaceRoutes } from './features/tenants/recall-workspaces/routes.ts'
import { tenantRoutes } from './features/tenants/routes.ts'
import { zoomAppRoutes } from './features/tenants/zoom-apps/routes.ts'
import { lendingRoutes } from './features/tokens/lending-routes.ts'
import { tokenRoutes } from './features/tokens/routes.ts'
import { zoomEventRoutes } from './features/zoom-events/routes.ts'
import { apiAuth } from './plugins/api-auth.ts'
import { audit } from './plugins/audit.ts'
import { errorHandler } from './plugins/error-handler.ts'
import { createFailureLimit } from './plugins/failure-limit.ts'
import { httpEdge } from './plugins/http-edge.ts'
import { idempotency } from './plugins/idempotency.ts'
import { keyRateLimit } from './plugins/key-rate-limit.ts'
import { lastAnswers } from './plugins/last-answers.ts'
import { loadShedding } from './plugins/load-shedding.ts'
import { createMetrics } from './plugins/metrics.ts'
import { openapi } from './plugins/openapi.ts'
import { prisma } from './plugins/prisma.ts'
import { recallGuard } from './plugins/recall-guard.ts'
import { requestLog } from './plugins/request-log.ts'
import { refuseOtherMethods, routeContract } from './plugins/route-contract.ts'
import { serverOptions } from './plugins/server-options.ts'
import { slowReaders } from './plugins/slow-readers.ts'
import { createReadiness, type Readiness } from './readiness.ts'
import { createServices, type Services } from './services.ts'
import { prepare } from './start.ts'

export interface AppOptions {
  env: Record<string, string | undefined>
  /** Where log lines go; standard output, line by line, by default. */
  logStream?: DestinationStream
  dispatcher?: Dispatcher
  now?: () => number
}

/** What every route stands on. Guards and handlers reach only what is registered after them. */
async function registerPlugins(app: FastifyInstance, env: AppOptions['env']): Promise<void> {
  app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler)
  await app.register(config, { env })
  await app.register(sensible) // what answers say to caches; its HTTP errors carry no code, so ours are in errors.ts
  await app.register(errorHandler)
  await app.register(httpEdge)
  await app.register(requestLog)
  await app.register(slowReaders)
  await app.register(loadShedding)
  await app.register(lastAnswers)
  await app.register(routeContract)
  await app.register(prisma)
  await app.register(openapi)
}

/** One named scope per kind of caller. */
async function registerScopes(app: FastifyInstance, services: Services, readiness: Readiness, now: () => number) {
  const { OPERATOR_API_KEY, SIGNATURE_TOLERANCE_SECONDS, MINT_DEADLINE_MS, PLAIN_CALLBACK_URLS } = app.config
  const { apiKeys, tenants, passes, ledger, recallWorkspaces, flows, box, refusals } = services
  const failureLimit = createFailureLimit(now)
  const auth = {
    operatorKeys: OPERATOR_API_KEY,
    resolveApiKey: apiKeys.resolve,
    resolveTenant: tenants.resolve,
    failureLimit,
    refusals,
  }
  /** In this order: who calls, the line in the audit trail, and only then what a repeated request is answered. */
  async function registerApi(scope: FastifyInstance) {
    await scope.register(apiAuth, auth)
    await scope.register(audit, { trail: services.requestTrail })
    await scope.register(idempotency, { box })
  }
  await app.register(async function anyone(scope) {
    await scope.register(healthRoutes, { notReady: readiness.notReady })
  })
  await app.register(
    async function operator(scope) {
      await registerApi(scope)
      await scope.register(tenantRoutes, services)
      await scope.register(apiKeyRoutes, services)
      await scope.register(zoomAppRoutes, services)
      await scope.register(recallWorkspaceRoutes, services)
      await scope.register(endpointRoutes, { endpoints: services.webhookEndpoints, owner: 'operator' })
      await scope.register(deliveryRoutes, { deliveries: services.deliveries, owner: 'operator' })
      await scope.register(auditRoutes, { trail: services.auditTrail, owner: 'operator' })
    },
    { prefix: '/v1' },
  )
  await app.register(
    async function tenant(scope) {
      await registerApi(scope)
      await scope.register(keyRateLimit)
      await scope.register(connectSessionRoutes, services)
      await scope.register(hostRoutes, services)
      await scope.register(releaseRoutes, services)
      await scope.register(importRoutes, services)
      await scope.register(organizationRoutes, services)
      await scope.register(meetingRoutes, services)
      await scope.register(syncRoutes, services)
      await scope.register(passRoutes, services)
      await scope.register(mintRoutes, services)
      await scope.register(explainRoutes, services)
      await scope.register(lendingRoutes, services)
      await scope.register(endpointRoutes, { endpoints: services.webhookEndpoints, owner: 'tenant' })
      await scope.register(deliveryRoutes, { deliveries: services.deliveries, owner: 'tenant' })
      await scope.register(auditRoutes, { trail: services.auditTrail, owner: 'tenant' })
    },
    { prefix: '/v1' },
  )
  await app.register(async function browser(scope) {
    await scope.register(connectPageRoutes, { flows, refusals, isHttps: app.config.isHttps })
  })
  await app.register(
    async function zoom(scope) {
      await scope.register(zoomEventRoutes, { events: services.zoomEvents, failureLimit, refusals })
    },
    { prefix: '/zoom' },
  )
  await app.register(
    async function bot(scope) {
      await scope.register(recallGuard, {
        resolvePass: passes.resolvePass,
        secretsServing: recallWorkspaces.secretsServing,
        ledger,
        failureLimit,
        refusals,
        toleranceSeconds: SIGNATURE_TOLERANCE_SECONDS,
        deadlineMs: MINT_DEADLINE_MS,
        plainTenantId: PLAIN_CALLBACK_URLS ? DEFAULT_TENANT_ID : null,
        now,
      })
      await scope.register(tokenRoutes, { tokens: services.tokens, deadlineMs: MINT_DEADLINE_MS })
    },
    { prefix: '/zoom' },
  )
}

/** Builds the whole service once, the same for server, jobs, CLI and tests; touches neither network nor database. */
export async function buildApp({ env, logStream, dispatcher, now = Date.now }: AppOptions) {
  const app: FastifyInstance = Fastify(serverOptions(parseConfig(env), logStream))
  await registerPlugins(app, env)
  const metrics = createMetrics(() => app.pools)
  const services = createServices(app, { metrics, dispatcher, now })
  const readiness = createReadiness({
    sql: app.sql,
    lookAtDatabase: services.lookAtDatabase,
    isForeign: services.installation.isForeign,
  })
  await registerScopes(app, services, readiness, now)
  refuseOtherMethods(app)
  // in this order on the way down: no job begins, outcomes are written, then Zoom and the pools are let go
  app.addHook('onClose', async () => {
    await services.jobQueue.stop(0)
    await services.zoomEvents.stop()
    await services.ledger.flush()
    await services.requestTrail.flush()
    await services.refusals.flush()
    await services.apiKeys.noteUsesAcrossTenants().catch(() => {}) // a time only, and the database may be away
    await services.redeemer.drain()
    await services.vault.drain()
    await services.closeUpstreams()
    await services.closeSender()
  })
  return { app, services, readiness, metrics, prepare: () => prepare({ app, services, readiness }) }
}
