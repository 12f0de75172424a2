import { AppError } from '../../../errors.ts'
import { uuidv7 } from '../../../lib/ids.ts'
import type { ZoomAppRow, ZoomAppStore } from './store.ts'

/** The shared Zoom app of kind `user` that the environment names. */
export interface EnvironmentApp {
  clientId: string
  /** The new one first. */
  clientSecrets: string[]
  webhookSecrets: string[]
  redirectUri: string
}

const NO_SECRETS = {
  clientSecretCt: null,
  previousClientSecretCt: null,
  previousClientSecretUntil: null,
  webhookSecretCt: null,
  previousWebhookSecretCt: null,
  previousWebhookSecretUntil: null,
} as const

/** What is special about the app of the environment: its row has no secret, and the API leaves it alone. */
export function createEnvironmentApp({
  store,
  environment,
}: {
  store: ZoomAppStore
  environment: EnvironmentApp | null
}) {
  async function takeOver(row: ZoomAppRow): Promise<void> {
    if (row.tenantId !== null || row.kind !== 'user')
      throw new AppError(
        'conflict',
        'ZOOM_OAUTH_APP_CLIENT_ID is registered through the API as an app of kind account or of one tenant; delete it there or name another.',
      )
    const change = { ...NO_SECRETS, redirectUri: null, managedBy: 'environment' } as const
    await store.update(row.id, row.secretGeneration, change)
  }
  return {
    /** Whether the row is the app that the environment names today; one it named formerly is not. */
    isEnvironmentApp: ({ managedBy, clientId }: Pick<ZoomAppRow, 'managedBy' | 'clientId'>): boolean =>
      managedBy === 'environment' && clientId === environment?.clientId,
    /**
     * Gives the environment's app its row, for grants to point at; several replicas may do so at once. A shared app of the
     * API with the same client id becomes the environment's, whose secrets count from then on.
     * @throws conflict where the client id belongs to a tenant's app or one of kind `account`
     */
    async ensureEnvironmentApp(): Promise<void> {
      if (!environment) return
      const { clientId } = environment
      const row = { id: uuidv7(), tenantId: null, kind: 'user', clientId, managedBy: 'environment' } as const
      await store.addEnvironmentApp({ ...row, ...NO_SECRETS, secretGeneration: 0n, redirectUri: null })
      const known = await store.byClientId(clientId)
      if (known?.managedBy === 'api') await takeOver(known)
    },
  }
}
