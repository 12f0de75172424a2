import { AppError, invalidField } from '../../errors.ts'
import { type CursorCodec, toPage } from '../../lib/cursor.ts'
import { uuidv7 } from '../../lib/ids.ts'
import { newWebhookSecret } from '../../lib/standard-webhooks.ts'
import { receiverUrlFault } from '../../receivers/receiver-url.ts'
import { OPERATOR_ID, type SecretBox } from '../../secrets/box.ts'
import type { EndpointChange, EndpointRow, EndpointStore } from './endpoint-store.ts'

export interface EndpointDeps {
  store: EndpointStore
  box: Pick<SecretBox, 'seal' | 'open'>
  cursors: CursorCodec
  /** Receivers on this machine: outside production. */
  allowsLoopback: boolean
  now: () => number
}

export interface EndpointInput {
  url: string
  description: string | null
  events: string[]
  /** Checked by its shape; a new one where there is none. */
  secret?: string | undefined
}

/** An endpoint as it may be shown. */
export type Endpoint = Omit<EndpointRow, 'secretCt' | 'previousSecretCt' | 'secretGeneration'>
/** With its signing secret: shown once, when it is made. */
export type EndpointWithSecret = Endpoint & { secret: string }

export type EndpointService = ReturnType<typeof createEndpointService>

const MOST_PER_OWNER = 20
const OVERLAP_MS = 24 * 3600 * 1000 // as long as Recall signs with two secrets
const MAX_TRIES = 5

const unknownEndpoint = () => new AppError('not_found', 'No such webhook endpoint.')
const keyOf = (secret: string) => Buffer.from(secret.replace('whsec_', ''), 'base64')

const placeOf = ({ id, tenantId }: Pick<EndpointRow, 'id' | 'tenantId'>, column: string, generation: bigint) => ({
  ownerId: tenantId ?? OPERATOR_ID,
  table: 'webhook_endpoints',
  column,
  rowId: id,
  generation,
})

/** Who is told of events, and where. `owner` is a tenant, or null for the operator's own endpoints. */
export function createEndpointService({ store, box, cursors, allowsLoopback, now }: EndpointDeps) {
  function checkUrl(url: string): void {
    const fault = receiverUrlFault(url, { allowsLoopback })
    if (fault !== null) throw invalidField('url', fault)
  }

  const livingUntil = ({ previousSecretUntil: until }: EndpointRow) =>
    until !== null && until.getTime() > now() ? until : null
  function shown(endpoint: EndpointRow): Endpoint {
    const { secretCt: _, previousSecretCt: __, secretGeneration: ___, ...row } = endpoint
    return { ...row, previousSecretUntil: livingUntil(endpoint) }
  }
  const sealed = async (row: Pick<EndpointRow, 'id' | 'tenantId'>, column: string, generation: bigint, text: string) =>
    new Uint8Array(await box.seal(placeOf(row, column, generation), text))
  const listScope = (owner: string | null) => ({
    tenantId: owner ?? 'operator',
    list: 'webhook-endpoints',
    filter: {},
  })

  async function require(owner: string | null, id: string): Promise<EndpointRow> {
    const row = await store.byId(owner, id)
    if (!row) throw unknownEndpoint()
    return row
  }

  /** The keys that sign now, the newest first. @throws SealError, store_unavailable */
  async function keysOf(row: EndpointRow): Promise<Buffer[]> {
    const current = await box.open(placeOf(row, 'secret_ct', row.secretGeneration), row.secretCt)
    if (livingUntil(row) === null || row.previousSecretCt === null) return [keyOf(current)]
    const place = placeOf(row, 'previous_secret_ct', row.secretGeneration)
    return [keyOf(current), keyOf(await box.open(place, row.previousSecretCt))]
  }

  return {
    /** @throws invalid_request (url), conflict where the owner has 20 */
    async create(owner: string | null, input: EndpointInput): Promise<EndpointWithSecret> {
      const { url, description, events, secret = newWebhookSecret() } = input
      checkUrl(url)
      const place = { id: uuidv7(), tenantId: owner }
      const created = await store.create(
        owner,
        {
          id: place.id,
          url,
          description,
          events,
          secretCt: await sealed(place, 'secret_ct', 0n, secret),
          previousSecretCt: null,
          previousSecretUntil: null,
          secretGeneration: 0n,
        },
        MOST_PER_OWNER,
      )
      if (!created) throw new AppError('conflict', `There are ${MOST_PER_OWNER} webhook endpoints already; delete one.`)
      return { ...shown(created), secret }
    },
    /** @throws invalid_request for a cursor of another list */
    async list(owner: string | null, limit: number, cursor: string | undefined) {
      const scope = listScope(owner)
      const rows = await store.list(owner, limit + 1, cursors.decode(scope, cursor))
      return toPage(rows.map(shown), limit, (position) => cursors.encode(scope, position))
    },
    /** @throws not_found */
    get: async (owner: string | null, id: string): Promise<Endpoint> => shown(await require(owner, id)),
    /** @throws not_found, invalid_request (url) */
    async update(owner: string | null, id: string, change: EndpointChange): Promise<Endpoint> {
      if (change.url !== undefined) checkUrl(change.url)
      const enabled = change.isEnabled === undefined ? {} : { disabledReason: change.isEnabled ? null : 'by_owner' }
      const row = await store.update(owner, id, { ...change, ...enabled })
      if (!row) throw unknownEndpoint()
      return shown(row)
    },
    /** A new secret; the former signs beside it for 24 hours. @throws not_found, conflict */
    async rotateSecret(owner: string | null, id: string): Promise<EndpointWithSecret> {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const row = await require(owner, id)
        const former = await box.open(placeOf(row, 'secret_ct', row.secretGeneration), row.secretCt)
        const secret = newWebhookSecret()
        const generation = row.secretGeneration + 1n
        const secrets = {
          secretCt: await sealed(row, 'secret_ct', generation, secret),
          previousSecretCt: await sealed(row, 'previous_secret_ct', generation, former),
          previousSecretUntil: new Date(now() + OVERLAP_MS),
        }
        if (await store.replaceSecrets(owner, row, secrets))
          return { ...shown({ ...row, ...secrets }), updatedAt: new Date(now()), secret }
      }
      throw new AppError('conflict', 'This endpoint is being changed by others right now; read it again.')
    },
    /** What was not delivered yet goes with it. @throws not_found */
    async remove(owner: string | null, id: string): Promise<void> {
      if (!(await store.remove(owner, id))) throw unknownEndpoint()
    },
    require,
    listening: store.listeningAcrossTenants,
    disable: store.disableAcrossTenants,
    /** Where and with which keys an event goes; null where the endpoint is gone. @throws SealError, store_unavailable */
    async secretsOf(id: string): Promise<{ url: string; secrets: Buffer[]; isEnabled: boolean } | null> {
      const row = await store.resolveAcrossTenants(id)
      return row && { url: row.url, isEnabled: row.isEnabled, secrets: await keysOf(row) }
    },
  }
}
