import { AppError } from '../../../errors.ts'
import { type CursorCodec, toPage } from '../../../lib/cursor.ts'
import { constantTimeEqual, uuidv7 } from '../../../lib/ids.ts'
import type { Scope } from '../../../scopes.ts'
import { newApiKey, parseApiKey } from './key-format.ts'
import type { ApiKey, ApiKeyStore } from './store.ts'

/** What a key may do when its maker names no scopes; the two that reach tokens are only given when asked for. */
const DEFAULT_SCOPES: Scope[] = [
  'connect',
  'hosts:read',
  'hosts:write',
  'meetings:read',
  'meetings:write',
  'passes:write',
  'mints:read',
  'bots:write',
]

export interface ApiKeyDeps {
  store: ApiKeyStore
  cursors: CursorCodec
  requireTenant: (tenantId: string) => Promise<unknown>
  now: () => number
}

export interface NewApiKey {
  name: string
  scopes?: Scope[] | undefined
  expiresAt?: Date | null | undefined
}

export type ApiKeyService = ReturnType<typeof createApiKeyService>

const NO_HASH = Buffer.alloc(32)

/** API keys of a tenant. Several work side by side, so rotation needs no pause. */
export function createApiKeyService({ store, cursors, requireTenant, now }: ApiKeyDeps) {
  // by key id, since the last time they were written down
  let uses = new Map<string, number>()
  return {
    /** The key's text is in this answer and nowhere else. @throws not_found */
    async create(tenantId: string, input: NewApiKey): Promise<ApiKey & { key: string }> {
      await requireTenant(tenantId)
      const id = uuidv7()
      const { key, prefix, secretHash } = newApiKey(id)
      const scopes = [...new Set(input.scopes ?? DEFAULT_SCOPES)]
      const row = { id, prefix, secretHash, name: input.name, scopes, expiresAt: input.expiresAt ?? null }
      return { ...(await store.create(tenantId, row)), key }
    },
    /** @throws not_found */
    async list(tenantId: string, limit: number, cursor: string | undefined) {
      await requireTenant(tenantId)
      const scope = { tenantId, list: 'api-keys', filter: {} }
      const rows = await store.list(tenantId, limit + 1, cursors.decode(scope, cursor))
      return toPage(rows, limit, (position) => cursors.encode(scope, position))
    },
    /** Gone from the next request on, in every replica: nothing caches keys. @throws not_found */
    async revoke(tenantId: string, keyId: string): Promise<void> {
      if (!(await store.remove(tenantId, keyId))) throw new AppError('not_found', 'No such API key.')
    },
    /** Who presents this key; null for whatever is not a key. An unknown id costs the same as a wrong secret. */
    async resolve(presented: string) {
      const parsed = parseApiKey(presented)
      if (!parsed) return null
      const found = await store.resolveSecret(parsed.keyId)
      const isRight = constantTimeEqual(found ? Buffer.from(found.secretHash) : NO_HASH, parsed.secretHash)
      if (!found || !isRight) return null
      const isExpired = found.expiresAt !== null && found.expiresAt.getTime() <= now()
      if (!isExpired) uses.set(parsed.keyId, now())
      return { tenantId: found.tenantId, keyId: parsed.keyId, scopes: found.scopes, isExpired }
    },
    /** Writes down when keys were last used; what cannot be written now waits for the next time. @throws store_unavailable */
    async noteUsesAcrossTenants(): Promise<void> {
      const noted = uses
      if (noted.size === 0) return
      uses = new Map()
      try {
        await store.noteUsesAcrossTenants([...noted].map(([keyId, atMs]) => ({ keyId, at: new Date(atMs) })))
      } catch (error) {
        uses = new Map([...noted, ...uses])
        throw error
      }
    },
  }
}
