import { AppError } from '../../../errors.ts'
import type { SecretBox } from '../../../secrets/box.ts'
import type { EnvironmentApp } from './environment-app.ts'
import { openSecrets } from './sealed-secrets.ts'
import type { ZoomAppRow, ZoomAppStore } from './store.ts'

export interface WebhookAppDeps {
  store: Pick<ZoomAppStore, 'byId' | 'byClientId'>
  box: SecretBox
  now: () => number
  environment: EnvironmentApp | null
  isEnvironmentApp: (row: ZoomAppRow) => boolean
  sharedAppId: () => Promise<string | undefined>
}

/** The apps that Zoom's events come from: by the id in the path, or the shared one. */
export function createWebhookApps({ store, box, now, environment, isEnvironmentApp, sharedAppId }: WebhookAppDeps) {
  async function rowOf(zoomAppId: string | null): Promise<ZoomAppRow | null> {
    if (zoomAppId !== null) return await store.byId(zoomAppId)
    if (environment) return await store.byClientId(environment.clientId)
    const id = await sharedAppId()
    return id === undefined ? null : await store.byId(id)
  }
  return {
    /**
     * The secret tokens that sign the app's events, two during a rotation; null for an unknown app and for one without. The
     * environment's are known without the database: a forged event costs no query.
     */
    async webhookSecretsOf(zoomAppId: string | null): Promise<string[] | null> {
      if (zoomAppId === null && environment) return environment.webhookSecrets
      const row = await rowOf(zoomAppId)
      if (!row) return null
      if (isEnvironmentApp(row)) return environment?.webhookSecrets ?? []
      const { webhook } = await openSecrets(box, row, now())
      return [webhook.current, webhook.previous?.value].filter((secret) => typeof secret === 'string')
    },
    /** @throws not_found */
    async webhookAppOf(zoomAppId: string | null): Promise<Pick<ZoomAppRow, 'id' | 'clientId' | 'kind' | 'tenantId'>> {
      const row = await rowOf(zoomAppId)
      if (!row) throw new AppError('not_found', 'No such Zoom app.')
      const { id, clientId, kind, tenantId } = row
      return { id, clientId, kind, tenantId }
    },
  }
}
