import type { FastifyInstance } from 'fastify'
import { DEFAULT_TENANT_ID } from './default-tenant.ts'
import { createImportEnd } from './features/hosts/import-link.ts'
import { createImportStore } from './features/hosts/import-store.ts'
import { createNextPassStore } from './features/hosts/next-passes.ts'
import { createHostService } from './features/hosts/service.ts'
import { createHostStore } from './features/hosts/store.ts'
import { createOrganizationService } from './features/organizations/service.ts'
import { createOrganizationStore } from './features/organizations/store.ts'
import { createApiKeyService } from './features/tenants/api-keys/service.ts'
import { createApiKeyStore } from './features/tenants/api-keys/store.ts'
import { createRecallWorkspaceService } from './features/tenants/recall-workspaces/service.ts'
import { createRecallWorkspaceStore } from './features/tenants/recall-workspaces/store.ts'
import { createTenantService } from './features/tenants/service.ts'
import { createTenantStore } from './features/tenants/store.ts'
import { createZoomAppService } from './features/tenants/zoom-apps/service.ts'
import { createZoomAppStore } from './features/tenants/zoom-apps/store.ts'
import type { createFoundation } from './foundation.ts'

/** What the operator looks after: tenants, their keys, Zoom apps and Recall workspaces. */
export function createOperatorServices(
  app: FastifyInstance,
  foundation: ReturnType<typeof createFoundation>,
  now: () => number,
) {
  const { config, prisma, sql, log } = app
  const { cursors, box, vault, installation } = foundation
  const isForeignDatabase = installation.isForeign
  const hosts = createHostService({
    store: createHostStore(prisma, sql),
    nextPasses: createNextPassStore(prisma),
    cursors,
    vault,
    isForeignDatabase,
  })
  const organizations = createOrganizationService({
    store: createOrganizationStore(prisma),
    cursors,
    vault,
    isForeignDatabase,
  })
  const importStore = createImportStore(sql)
  const endImports = createImportEnd({ store: importStore, vault })
  const unlinkAll = async (tenantId: string) => {
    await hosts.unlinkAll(tenantId)
    await organizations.unlinkAll(tenantId)
    await endImports(tenantId)
    await vault.forget({ tenantId })
  }
  const tenants = createTenantService({ store: createTenantStore(prisma, sql), cursors, unlinkAll })
  const requireTenant = tenants.get
  const apiKeys = createApiKeyService({ store: createApiKeyStore(prisma, sql), cursors, requireTenant, now })
  const { ZOOM_OAUTH_APP_CLIENT_ID: clientId } = config
  const zoomApps = createZoomAppService({
    store: createZoomAppStore(prisma, sql),
    box,
    cursors,
    now,
    requireTenant,
    forgetGrants: (zoomAppId) => vault.forget({ zoomAppId }),
    environment: clientId
      ? {
          clientId,
          clientSecrets: config.ZOOM_OAUTH_APP_CLIENT_SECRET,
          webhookSecrets: config.ZOOM_WEBHOOK_SECRET_TOKEN,
          redirectUri: config.ZOOM_OAUTH_APP_REDIRECT_URI,
        }
      : null,
    defaultRedirectUri: `${config.PUBLIC_BASE_URL}/zoom/oauth/callback`,
    isProduction: config.isProduction,
  })
  const recallWorkspaces = createRecallWorkspaceService({
    store: createRecallWorkspaceStore({ prisma, sql, mint: app.mintSql }),
    box,
    cursors,
    now,
    log,
    requireTenant,
    environmentSecrets: config.RECALL_VERIFICATION_SECRETS,
    plainCallbackUrls: config.PLAIN_CALLBACK_URLS,
    defaultTenantId: DEFAULT_TENANT_ID,
  })
  return { hosts, organizations, tenants, apiKeys, zoomApps, recallWorkspaces, importStore }
}

export type OperatorServices = ReturnType<typeof createOperatorServices>
