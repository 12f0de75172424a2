import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import { AppError } from '../../../errors.ts'
import { type CursorCodec, toPage } from '../../../lib/cursor.ts'
import { constantTimeEqual, uuidv7 } from '../../../lib/ids.ts'
import type { SecretBox } from '../../../secrets/box.ts'
import type { LockedStore, RecallWorkspace, RecallWorkspaceStore, SealedSecret, SignatureMode } from './store.ts'

export interface RecallWorkspaceInput {
  region: string
  /** Key bytes. */
  verificationSecrets: Buffer[]
  apiKey: string | null
  signatureMode: SignatureMode
}

export type RecallWorkspaceUpdate = {
  [Field in keyof RecallWorkspaceInput]?: RecallWorkspaceInput[Field] | undefined
}

export interface SharedSecretWarning {
  code: 'secret_shared'
  detail: string
}

/** The secrets that tell whether a request for this tenant comes from Recall. */
export interface ServingSecrets {
  source: 'tenant' | 'environment'
  secrets: { id: string; key: KeyObject }[]
  /** Unsigned requests with a valid pass are still let through. */
  isObserving: boolean
}

export interface RecallWorkspaceDeps {
  store: RecallWorkspaceStore
  box: SecretBox
  cursors: CursorCodec
  now: () => number
  log: { warn: (fields: object, message: string) => void }
  requireTenant: (tenantId: string) => Promise<unknown>
  /** Keys of the operator's own workspace, which serves every tenant that has none. */
  environmentSecrets: Buffer[]
  /** The tenant `default` answers URLs without a pass: nobody else may then hold a secret that serves it. */
  plainCallbackUrls: boolean
  defaultTenantId: string
}

export type RecallWorkspaceService = ReturnType<typeof createRecallWorkspaceService>

const OBSERVE_MS = 14 * 24 * 3600 * 1000 // contract §6: a workspace forgets to be lenient by itself

const hashOf = (key: Buffer) => new Uint8Array(createHash('sha256').update(key).digest())
const unknownWorkspace = () => new AppError('not_found', 'No such Recall workspace.')
const plainConflict = () =>
  new AppError(
    'conflict',
    'Another tenant uses a secret that serves the tenant default, which answers plain callback URLs (PLAIN_CALLBACK_URLS); give each its own Recall workspace.',
  )
const SHARED: SharedSecretWarning = {
  code: 'secret_shared',
  detail:
    'Another tenant uses the same verification secret. Tenants of one Recall workspace can read and replay each other’s requests; give each its own workspace.',
}

const secretPlace = (tenantId: string, rowId: string) =>
  ({ ownerId: tenantId, table: 'recall_secrets', column: 'secret_ct', rowId, generation: 0 }) as const
const apiKeyPlace = (tenantId: string, rowId: string) =>
  ({ ownerId: tenantId, table: 'recall_workspaces', column: 'api_key_ct', rowId, generation: 0 }) as const

/** A tenant's Recall workspaces, and which secrets serve it. */
export function createRecallWorkspaceService(deps: RecallWorkspaceDeps) {
  const { store, box, cursors, now, environmentSecrets, defaultTenantId } = deps
  const environmentHashes = environmentSecrets.map(hashOf)
  const servingEnvironment = environmentSecrets.map((key) => ({ id: 'environment', key: createSecretKey(key) }))

  /** Sealed before the transaction; one row per key, however often it is given. */
  async function sealAll(tenantId: string, keys: Buffer[]): Promise<SealedSecret[]> {
    const distinct = new Map(keys.map((key) => [key.toString('base64'), key]))
    const sealing = [...distinct].map(async ([base64, key]) => {
      const id = uuidv7()
      const secretCt = new Uint8Array(await box.seal(secretPlace(tenantId, id), base64))
      return { id, secretCt, secretHash: hashOf(key) }
    })
    return await Promise.all(sealing)
  }
  async function sealApiKey(tenantId: string, id: string, apiKey: string | null | undefined) {
    if (apiKey === undefined) return {}
    return { apiKeyCt: apiKey === null ? null : new Uint8Array(await box.seal(apiKeyPlace(tenantId, id), apiKey)) }
  }

  /** How many secrets of other tenants equal one that serves the tenant `default`. */
  const plainConflicts = (store: Pick<RecallWorkspaceStore, 'countPlainConflictsAcrossTenants'>): Promise<number> =>
    store.countPlainConflictsAcrossTenants(defaultTenantId, environmentHashes)

  /** Runs a change, and undoes it where it would let another tenant sign plain URLs. */
  const guarded = <T>(tenantId: string, change: (store: LockedStore) => Promise<T>): Promise<T> =>
    store.transaction(tenantId, async (store) => {
      if (!deps.plainCallbackUrls) return await change(store)
      await store.lockAcrossTenants()
      const result = await change(store)
      if ((await plainConflicts(store)) > 0) throw plainConflict()
      return result
    })

  async function withWarnings(tenantId: string, workspaceId: string) {
    const workspace = await get(tenantId, workspaceId)
    const hashes = await store.hashesOf(tenantId, workspaceId)
    // the operator's own secrets serve every tenant that has no workspace
    const isOperators = environmentHashes.some((known) =>
      hashes.some((hash) => constantTimeEqual(Buffer.from(known), Buffer.from(hash))),
    )
    const isShared = isOperators || (await store.countAtOthersAcrossTenants(tenantId, hashes)) > 0
    if (isShared)
      deps.log.warn({ tenant_id: tenantId, workspace_id: workspaceId }, 'tenants share a Recall verification secret')
    return { ...workspace, warnings: isShared ? [SHARED] : [] }
  }

  /** A mode whose time is over reads as what it became. */
  const inForce = (workspace: RecallWorkspace): RecallWorkspace =>
    workspace.observeUntil && workspace.observeUntil.getTime() > now()
      ? workspace
      : { ...workspace, signatureMode: 'require', observeUntil: null }

  async function get(tenantId: string, id: string): Promise<RecallWorkspace> {
    const workspace = await store.byId(tenantId, id)
    if (!workspace) throw unknownWorkspace()
    return inForce(workspace)
  }

  /** Asking again for `observe` does not prolong it. */
  function modeChange(mode: SignatureMode | undefined, current: RecallWorkspace | null) {
    if (mode === undefined || (mode === 'observe' && current?.signatureMode === 'observe')) return {}
    return { signatureMode: mode, observeUntil: mode === 'observe' ? new Date(now() + OBSERVE_MS) : null }
  }

  return {
    get,
    /** @throws not_found (tenant), conflict (a secret that serves plain URLs of the tenant `default`) */
    async create(tenantId: string, input: RecallWorkspaceInput) {
      await deps.requireTenant(tenantId)
      const id = uuidv7()
      const secrets = await sealAll(tenantId, input.verificationSecrets)
      const sealedKey = await sealApiKey(tenantId, id, input.apiKey)
      const workspace = { region: input.region, ...sealedKey, ...modeChange(input.signatureMode, null) }
      await guarded(tenantId, async (store) => {
        await store.create(tenantId, id, workspace)
        await store.replaceSecrets(tenantId, id, secrets)
      })
      return await withWarnings(tenantId, id)
    },
    /** @throws not_found */
    async list(tenantId: string, limit: number, cursor: string | undefined) {
      await deps.requireTenant(tenantId)
      const scope = { tenantId, list: 'recall-workspaces', filter: {} }
      const rows = await store.list(tenantId, limit + 1, cursors.decode(scope, cursor))
      const { data, nextCursor } = toPage(rows, limit, (position) => cursors.encode(scope, position))
      return { data: data.map(inForce), nextCursor }
    },
    /** A secret left out of the new set is refused from the next request on. @throws not_found, conflict */
    async update(tenantId: string, id: string, change: RecallWorkspaceUpdate) {
      const current = await get(tenantId, id)
      const secrets = change.verificationSecrets && (await sealAll(tenantId, change.verificationSecrets))
      const sealedKey = await sealApiKey(tenantId, id, change.apiKey)
      const region = change.region === undefined ? {} : { region: change.region }
      await guarded(tenantId, async (store) => {
        const updated = { ...region, ...sealedKey, ...modeChange(change.signatureMode, current) }
        if (!(await store.update(tenantId, id, updated))) throw unknownWorkspace()
        if (secrets) await store.replaceSecrets(tenantId, id, secrets)
      })
      return await withWarnings(tenantId, id)
    },
    /** @throws not_found, conflict */
    async remove(tenantId: string, id: string): Promise<void> {
      await guarded(tenantId, async (store) => {
        if (!(await store.remove(tenantId, id))) throw unknownWorkspace()
      })
    },
    /** The tenant's own secrets if it has any workspace, else the environment's. @throws store_unavailable */
    async secretsServing(tenantId: string): Promise<ServingSecrets> {
      const rows = await store.secretsServing(tenantId)
      if (rows.length === 0) return { source: 'environment', secrets: servingEnvironment, isObserving: false }
      const opened = rows.map(async ({ id, secretCt }) => {
        const key = createSecretKey(await box.open(secretPlace(tenantId, id), secretCt), 'base64')
        return { id, key }
      })
      const isObserving = rows.some((row) => row.isObserving)
      return { source: 'tenant', secrets: await Promise.all(opened), isObserving }
    },
    /** How many secrets of other tenants would sign plain URLs of the tenant `default`: any forbids to start. */
    findPlainConflicts: (): Promise<number> => plainConflicts(store),
  }
}
