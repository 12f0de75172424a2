import { OPERATOR_ID, type SecretBox } from '../../../secrets/box.ts'
import type { SealedSecrets, ZoomAppRow } from './store.ts'

/** A secret and the one it replaced, which Zoom goes on taking for a while. */
export interface RotatingSecret {
  current: string | null
  previous: { value: string; until: Date } | null
}

export interface AppSecrets {
  client: RotatingSecret
  webhook: RotatingSecret
}

// contract §6: how long a former secret stays second
const OVERLAP_MS = 24 * 3600 * 1000

type Place = Pick<ZoomAppRow, 'id' | 'tenantId'>

const placeOf = ({ id, tenantId }: Place, column: string, generation: bigint) => ({
  ownerId: tenantId ?? OPERATOR_ID,
  table: 'zoom_apps',
  column,
  rowId: id,
  generation,
})

/** Replaces a secret; the former stays second unless told otherwise. The same secret again changes nothing. */
export function rotate(
  secret: RotatingSecret,
  next: string | null | undefined,
  { dropPrevious, nowMs }: { dropPrevious: boolean; nowMs: number },
): RotatingSecret {
  if (next === undefined || next === secret.current)
    return { current: secret.current, previous: dropPrevious ? null : secret.previous }
  const keepsFormer = !dropPrevious && next !== null && secret.current !== null
  return {
    current: next,
    previous: keepsFormer ? { value: secret.current as string, until: new Date(nowMs + OVERLAP_MS) } : null,
  }
}

/** Opens the secrets of an app that are in force. @throws SealError, store_unavailable */
export async function openSecrets(box: SecretBox, row: ZoomAppRow, nowMs: number): Promise<AppSecrets> {
  const opened = async (column: string, value: Uint8Array | null) =>
    value === null ? null : await box.open(placeOf(row, column, row.secretGeneration), value)
  const former = async (column: string, sealed: Uint8Array | null, until: Date | null) => {
    if (until === null || until.getTime() <= nowMs) return null
    const value = await opened(column, sealed)
    return value === null ? null : { value, until }
  }
  return {
    client: {
      current: await opened('client_secret_ct', row.clientSecretCt),
      previous: await former('previous_client_secret_ct', row.previousClientSecretCt, row.previousClientSecretUntil),
    },
    webhook: {
      current: await opened('webhook_secret_ct', row.webhookSecretCt),
      previous: await former('previous_webhook_secret_ct', row.previousWebhookSecretCt, row.previousWebhookSecretUntil),
    },
  }
}

/** Seals the secrets of an app under one generation of its row. @throws store_unavailable */
export async function sealSecrets(
  box: SecretBox,
  row: Place,
  generation: bigint,
  { client, webhook }: AppSecrets,
): Promise<SealedSecrets> {
  const sealed = async (column: string, value: string | null | undefined) =>
    value == null ? null : new Uint8Array(await box.seal(placeOf(row, column, generation), value))
  return {
    clientSecretCt: await sealed('client_secret_ct', client.current),
    previousClientSecretCt: await sealed('previous_client_secret_ct', client.previous?.value),
    previousClientSecretUntil: client.previous?.until ?? null,
    webhookSecretCt: await sealed('webhook_secret_ct', webhook.current),
    previousWebhookSecretCt: await sealed('previous_webhook_secret_ct', webhook.previous?.value),
    previousWebhookSecretUntil: webhook.previous?.until ?? null,
  }
}
