import { hostname } from 'node:os'
import type { FastifyInstance } from 'fastify'
import type { Dispatcher } from 'undici'
import { createAuditLog } from './audit/audit-log.ts'
import { createRefusals } from './audit/refusals.ts'
import { createRequestTrail } from './audit/request-trail.ts'
import { createClockWatch } from './clock-watch.ts'
import { createErasure } from './erasure/erasure.ts'
import type { ZoomAppCredentials } from './grants/attempt.ts'
import { createGrants } from './grants/compose.ts'
import { createDoctor } from './grants/doctor.ts'
import { createJobQueue } from './jobs/queue.ts'
import { createCursorCodec } from './lib/cursor.ts'
import { uuidv7 } from './lib/ids.ts'
import { createLocalKeyring } from './lib/sealing.ts'
import type { Metrics } from './plugins/metrics.ts'
import { createSecretBox } from './secrets/box.ts'
import { createKeyRotation } from './secrets/key-rotation.ts'
import { createKeyStatus } from './secrets/key-status.ts'
import { createKeyWatch } from './secrets/key-watch.ts'
import { createInstallation } from './startup.ts'
import { createZoomAccountUsers } from './zoom/account-users.ts'
import { cloudOf } from './zoom/cloud.ts'
import { createZoomHttp } from './zoom/http.ts'
import { createZoomMeetingOwner } from './zoom/meeting-owner.ts'
import { createZoomMeetings } from './zoom/meetings.ts'
import { createZoomMint } from './zoom/mint.ts'
import { createZoomOAuth } from './zoom/oauth.ts'
import { createZoomSettings } from './zoom/settings.ts'
import { createZoomUsers } from './zoom/users.ts'

export interface FoundationOptions {
  metrics: Metrics
  dispatcher: Dispatcher | undefined
  now: () => number
  /** The client id and secrets of a Zoom app; null where it has none any more. */
  credentialsOf: (zoomAppId: string) => Promise<ZoomAppCredentials | null>
}

const LIST_CONNECTIONS = 4

/** Zoom at two origins with an agent each, so that mints cannot starve refreshes; lists have their own, so that they cannot starve mints. */
function createUpstreams(app: FastifyInstance, dispatcher: Dispatcher | undefined) {
  const { ZOOM_OAUTH_BASE_URL, ZOOM_API_BASE_URL, ZOOM_TIMEOUT_MS } = app.config
  const shared = { timeoutMs: ZOOM_TIMEOUT_MS, ...(dispatcher ? { dispatcher } : {}) }
  const tokenEndpoint = createZoomHttp({ baseUrl: ZOOM_OAUTH_BASE_URL, ...shared })
  const api = createZoomHttp({ baseUrl: ZOOM_API_BASE_URL, ...shared })
  const lists = createZoomHttp({ baseUrl: ZOOM_API_BASE_URL, connections: LIST_CONNECTIONS, ...shared })
  const zoomCloud = cloudOf(ZOOM_API_BASE_URL)
  return {
    zoomCloud,
    oauth: createZoomOAuth({ http: tokenEndpoint }),
    users: createZoomUsers({ http: api, cloud: zoomCloud }),
    zoomSettings: createZoomSettings({ http: api }),
    zoomMeetingOwner: createZoomMeetingOwner({ http: api }),
    zoomMeetings: createZoomMeetings({ http: lists, now: Date.now }),
    accountUsers: createZoomAccountUsers({ http: lists, now: Date.now }),
    zoomMint: createZoomMint({ http: api, timeoutMs: ZOOM_TIMEOUT_MS }),
    closeUpstreams: () => Promise.all([tokenEndpoint.close(), api.close(), lists.close()]),
  }
}

/** What the features stand on: Zoom, keys, the vault. */
export function createFoundation(app: FastifyInstance, { metrics, dispatcher, now, credentialsOf }: FoundationOptions) {
  const { config, log, sql, mintSql, reserveSql } = app
  const upstreams = createUpstreams(app, dispatcher)
  const keyring = createLocalKeyring(config.ENCRYPTION_KEYS)
  const audit = createAuditLog(sql)
  const installation = createInstallation({ sql, keyring, installationId: config.INSTALLATION_ID })
  const { vault, redeemer, lineage, grantUpkeep, keepAlive, endings, handOver, lender, personalRooms } = createGrants({
    sql,
    mint: mintSql,
    reserve: reserveSql,
    box: createSecretBox({ sql: reserveSql, removals: sql, keyring }),
    oauth: upstreams.oauth,
    users: upstreams.users,
    credentialsOf,
    owner: `${hostname()}/${process.pid}/${uuidv7()}`,
    isForeign: installation.isForeign,
    refreshMarginSeconds: config.REFRESH_MARGIN_SECONDS,
    keepAliveHours: config.GRANT_KEEPALIVE_HOURS,
    metrics: metrics.grants,
    monotonicNow: () => performance.now(),
    random: Math.random,
    log,
  })
  const clockWatch = createClockWatch({
    sql,
    log,
    now,
    monotonicNow: () => performance.now(),
    show: metrics.showClockOffset,
  })
  return {
    ...upstreams,
    installation,
    lineage,
    /** Whose database this is, whether it is still the one it was, and what time it is there. @throws store_unavailable */
    async lookAtDatabase(): Promise<void> {
      await installation.refresh()
      await lineage.check()
      await clockWatch.look()
    },
    doctor: createDoctor(sql),
    audit,
    requestTrail: createRequestTrail({ log, audit }),
    refusals: createRefusals({ log, audit, now }),
    erasure: createErasure(sql),
    keyStatus: createKeyStatus({ sql, keyring }),
    keyRotation: createKeyRotation({ sql, keyring }),
    keyWatch: createKeyWatch({ sql, keyring, log }),
    vault,
    handOver,
    redeemer,
    grantUpkeep,
    keepAlive,
    endings,
    lender,
    personalRooms,
    jobQueue: createJobQueue({
      pool: app.pools.jobs,
      log,
      isForeign: installation.isForeign,
      now: () => performance.now(),
    }),
    box: createSecretBox({ sql, removals: sql, keyring }),
    cursors: createCursorCodec(keyring.derive('latchkey/cursor')),
  }
}
