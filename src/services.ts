import type { FastifyInstance } from 'fastify'
import type { Dispatcher } from 'undici'
import { createLedger } from './features/mints/ledger.ts'
import { createLedgerStore } from './features/mints/ledger-store.ts'
import { createApiKeyService } from './features/tenants/api-keys/service.ts'
import { createApiKeyStore } from './features/tenants/api-keys/store.ts'
import { createTenantService } from './features/tenants/service.ts'
import { createTenantStore } from './features/tenants/store.ts'
import { createTokenService } from './features/tokens/service.ts'
import { createAppBreaker } from './grants/app-breaker.ts'
import { createGrantCipher } from './grants/cipher.ts'
import { createGrantStore } from './grants/store.ts'
import { createGrantVault } from './grants/vault.ts'
import { createCursorCodec } from './lib/cursor.ts'
import { uuidv7 } from './lib/ids.ts'
import { createLocalKeyring } from './lib/sealing.ts'
import type { Metrics } from './plugins/metrics.ts'
import { createSecretBox } from './secrets/box.ts'
import { createInstallation } from './startup.ts'
import { createZoomHttp } from './zoom/http.ts'
import { createZoomMint } from './zoom/mint.ts'
import { createZoomOAuth } from './zoom/oauth.ts'
import { createZoomUsers } from './zoom/users.ts'

export interface ServiceOptions {
  metrics: Metrics
  dispatcher: Dispatcher | undefined
  now: () => number
}

/** Zoom at two origins with an agent each, so that mints cannot starve refreshes. */
function createUpstreams(app: FastifyInstance, dispatcher: Dispatcher | undefined) {
  const { ZOOM_OAUTH_BASE_URL, ZOOM_API_BASE_URL, ZOOM_TIMEOUT_MS } = app.config
  const shared = { timeoutMs: ZOOM_TIMEOUT_MS, ...(dispatcher ? { dispatcher } : {}) }
  const tokenEndpoint = createZoomHttp({ baseUrl: ZOOM_OAUTH_BASE_URL, ...shared })
  const api = createZoomHttp({ baseUrl: ZOOM_API_BASE_URL, ...shared })
  return {
    oauth: createZoomOAuth({ http: tokenEndpoint }),
    users: createZoomUsers({ http: api }),
    mint: createZoomMint({ http: api, timeoutMs: ZOOM_TIMEOUT_MS }),
    close: () => Promise.all([tokenEndpoint.close(), api.close()]),
  }
}

export type Services = ReturnType<typeof createServices>
