import { createLru } from '../lib/lru.ts'
import {
  type DataKey,
  dataKeyIdOf,
  type KeyProvider,
  newDataKey,
  open,
  type SealContext,
  SealError,
  seal,
  unwrapDataKey,
  type WrappedDataKey,
} from '../lib/sealing.ts'
import { type MintSql, mintStatement, type Sql, statement } from '../lib/sql.ts'

/** Owner of what belongs to no tenant and no grant: secrets of shared Zoom apps, the operator's idempotent answers. */
export const OPERATOR_ID = '00000000-0000-0000-0000-000000000000'

export interface SecretBox {
  /** Seals a value to its place under its owner's data key, which is made on first use. @throws store_unavailable */
  seal(place: SealContext, plaintext: string): Promise<Buffer>
  /** Opens a value in its place. @throws SealError when moved, damaged, or its key is gone; store_unavailable */
  open(place: SealContext, envelope: Uint8Array): Promise<string>
  /** Destroys the owner's data keys: whatever they sealed is unreadable from then on. Only for an owner gone for good. */
  destroy(ownerId: string): Promise<void>
}

const BY_OWNER = mintStatement(
  'data_key_by_owner',
  `SELECT id, owner_id AS "ownerId", kid, wrapped FROM data_keys WHERE owner_id = $1 ORDER BY version DESC LIMIT 1`,
)
const BY_ID = mintStatement(
  'data_key_by_id',
  `SELECT id, owner_id AS "ownerId", kid, wrapped FROM data_keys WHERE id = $1`,
)
const INSERT = mintStatement(
  'data_key_insert',
  `INSERT INTO data_keys (id, owner_id, kid, wrapped) VALUES ($1, $2, $3, $4) ON CONFLICT (owner_id, version) DO NOTHING`,
)
const DESTROY = statement('data_key_destroy', `DELETE FROM data_keys WHERE owner_id = $1`)

const CACHED_KEYS = 10_000

export interface SecretBoxDeps {
  sql: MintSql
  /** Destroying a key is nothing that a mint does. */
  removals: Sql
  keyring: KeyProvider
}

/** The one writer of `data_keys`. Unwrapped keys are kept in memory: a key management service would answer in milliseconds. */
export function createSecretBox({ sql, removals, keyring }: SecretBoxDeps): SecretBox {
  const byOwner = createLru<string, DataKey>(CACHED_KEYS)
  const byId = createLru<string, DataKey & { ownerId: string }>(CACHED_KEYS)

  async function keep(stored: WrappedDataKey): Promise<DataKey> {
    // one that is known is not unwrapped again: what opened a refresh token must be there to seal the pair it is spent for,
    // though the row may have been wrapped under a key since that this process was not given
    const known = byId.get(stored.id)
    if (known?.ownerId === stored.ownerId) return known
    const key = await unwrapDataKey(keyring, stored)
    byId.set(stored.id, { ...key, ownerId: stored.ownerId })
    return key
  }
  async function currentKey(ownerId: string): Promise<DataKey> {
    const cached = byOwner.get(ownerId)
    if (cached) return cached
    let [stored] = await sql.rows<WrappedDataKey>(BY_OWNER, [ownerId])
    if (!stored) {
      const { id, kid, wrapped } = await newDataKey(keyring, ownerId)
      await sql.rows(INSERT, [id, ownerId, kid, wrapped])
      // another replica may have been first: what the table holds counts
      const winners = await sql.rows<WrappedDataKey>(BY_OWNER, [ownerId])
      stored = winners[0]
    }
    if (!stored) throw new SealError('The owner has no data key')
    const key = await keep(stored)
    byOwner.set(ownerId, key)
    return key
  }
  async function keyNamed(id: string, ownerId: string): Promise<DataKey> {
    const cached = byId.get(id)
    if (cached) {
      if (cached.ownerId !== ownerId) throw new SealError('The value does not open here')
      return cached
    }
    const [stored] = await sql.rows<WrappedDataKey>(BY_ID, [id])
    if (!stored || stored.ownerId !== ownerId) throw new SealError('The value does not open here')
    return await keep(stored)
  }
  return {
    async seal(place, plaintext) {
      return seal(await currentKey(place.ownerId), place, plaintext)
    },
    async open(place, envelope) {
      const bytes = Buffer.from(envelope)
      return open(await keyNamed(dataKeyIdOf(bytes), place.ownerId), place, bytes).toString('utf8')
    },
    async destroy(ownerId) {
      byOwner.delete(ownerId)
      await removals.rows(DESTROY, [ownerId])
    },
  }
}
