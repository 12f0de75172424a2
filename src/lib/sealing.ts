import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { isUuid, uuidv7 } from './ids.ts'

/** Wraps and unwraps data keys: a local keyring now, a key management service later. */
export interface KeyProvider {
  readonly currentKid: string
  kids(): string[]
  /** Under the current key, or under another one of the ring. */
  wrap(dataKey: Buffer, aad: Buffer, kid?: string): Promise<{ kid: string; wrapped: Buffer }>
  unwrap(kid: string, wrapped: Buffer, aad: Buffer): Promise<Buffer>
}

/** A provider over keys held in memory, which can also derive keys for other purposes from them. */
export interface LocalKeyring extends KeyProvider {
  /** One 32-byte key for the purpose per key of the ring, the first key's first: it signs, all verify. */
  derive(label: string): Buffer[]
}

/** Where a sealed field lives. Every part is authenticated, so a ciphertext that was moved anywhere else does not open. */
export interface SealContext {
  /** The grant, or the tenant for its own secrets. */
  ownerId: string
  table: string
  column: string
  rowId: string
  /** Of the token pair; 0 for a row that has none. */
  generation: number | bigint
}

/** A data key in clear: 32 random bytes of one owner. Its id travels in each envelope. */
export interface DataKey {
  id: string
  key: Buffer
}

/** A data key as it is stored. */
export interface WrappedDataKey {
  id: string
  ownerId: string
  kid: string
  wrapped: Buffer
}

/** Whatever is wrong with a ciphertext, this is all that is told: the difference would be an oracle. */
export class SealError extends Error {
  override readonly name = 'SealError'
}

const VERSION = 1
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const ID_BYTES = 16
const HEADER_BYTES = 1 + ID_BYTES

/** `nonce ‖ ciphertext ‖ tag` under AES-256-GCM with 12 fresh random bytes as nonce. @see NIST SP 800-38D section 8.2.2 */
function encrypt(key: Buffer, aad: Buffer, plaintext: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(aad)
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** Opens what `encrypt` made. @throws SealError, one and the same for every cause */
function decrypt(key: Buffer, aad: Buffer, box: Buffer): Buffer {
  if (box.length < NONCE_BYTES + TAG_BYTES) throw unopenable()
  try {
    const nonce = box.subarray(0, NONCE_BYTES)
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(aad)
    decipher.setAuthTag(box.subarray(box.length - TAG_BYTES))
    return Buffer.concat([decipher.update(box.subarray(NONCE_BYTES, box.length - TAG_BYTES)), decipher.final()])
  } catch {
    throw unopenable()
  }
}

/** Fields as associated data, each behind its length: `ab`,`c` and `a`,`bc` differ, whatever the fields hold. */
function associatedData(...fields: string[]): Buffer {
  const parts = fields.flatMap((field) => {
    const bytes = Buffer.from(field, 'utf8')
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return [length, bytes]
  })
  return Buffer.concat(parts)
}

/**
 * The keyring of `ENCRYPTION_KEYS`: the first key wraps, all unwrap, each selected by its kid. No key is used itself: every
 * purpose has its own, derived by HKDF with the purpose as label. @see NIST SP 800-57 part 1 section 5.2
 */
export function createLocalKeyring(keys: { kid: string; key: Buffer }[]): LocalKeyring {
  const [first] = keys
  if (!first) throw new Error('A keyring needs at least one key')
  const ring = new Map(keys.map(({ kid, key }) => [kid, deriveKey(key, 'latchkey/wrap')]))
  if (ring.size !== keys.length) throw new Error('A keyring names each kid once')
  const wrappingKey = (kid: string): Buffer => {
    const key = ring.get(kid)
    if (!key) throw new SealError(`ENCRYPTION_KEYS lacks ${kid}`)
    return key
  }
  return {
    currentKid: first.kid,
    kids: () => [...ring.keys()],
    derive: (label) => keys.map(({ key }) => deriveKey(key, label)),
    async wrap(dataKey, aad, kid = first.kid) {
      return { kid, wrapped: Buffer.concat([Buffer.of(VERSION), encrypt(wrappingKey(kid), aad, dataKey)]) }
    },
    async unwrap(kid, wrapped, aad) {
      if (wrapped[0] !== VERSION) throw new SealError('The wrapped key has a version that this release does not know')
      return decrypt(wrappingKey(kid), aad, wrapped.subarray(1))
    },
  }
}

/** `version(1) ‖ data key id(16) ‖ nonce(12) ‖ ciphertext ‖ tag(16)`, bound to its place by the associated data. */
export function seal(dataKey: DataKey, context: SealContext, plaintext: string): Buffer {
  const bytes = Buffer.from(plaintext, 'utf8')
  return Buffer.concat([header(dataKey.id), encrypt(dataKey.key, placeOf(dataKey.id, context), bytes)])
}

/** Opens an envelope in its place, with the key that its header names. @throws SealError */
export function open(dataKey: DataKey, context: SealContext, envelope: Buffer): Buffer {
  const id = dataKeyIdOf(envelope)
  // never tried with another key: GCM does not commit to the key
  if (id !== dataKey.id.toLowerCase()) throw unopenable()
  return decrypt(dataKey.key, placeOf(id, context), envelope.subarray(HEADER_BYTES))
}

/** Which data key an envelope needs, by its clear header. @throws SealError, also for a version this release does not know */
export function dataKeyIdOf(envelope: Buffer): string {
  if (envelope.length < HEADER_BYTES + NONCE_BYTES + TAG_BYTES) throw unopenable()
  if (envelope[0] !== VERSION) throw new SealError('The envelope has a version that this release does not know')
  const hex = envelope.toString('hex', 1, HEADER_BYTES)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** Makes a data key for an owner, in clear for use now and wrapped for storage. The wrapping is bound to key id and owner. */
export async function newDataKey(
  provider: KeyProvider,
  ownerId: string,
): Promise<{ id: string; key: Buffer; kid: string; wrapped: Buffer }> {
  const id = uuidv7()
  const key = randomBytes(KEY_BYTES)
  return { id, key, ...(await provider.wrap(key, wrappingOf(id, ownerId))) }
}

/** Unwraps a stored data key. @throws SealError when it was moved, changed, or its wrapping key is unknown */
export async function unwrapDataKey(provider: KeyProvider, stored: WrappedDataKey): Promise<DataKey> {
  const key = await provider.unwrap(stored.kid, stored.wrapped, wrappingOf(stored.id, stored.ownerId))
  if (key.length !== KEY_BYTES) throw unopenable()
  return { id: stored.id, key }
}

/** The same data key, wrapped under the current key of the ring. @throws SealError as `unwrapDataKey` */
export async function rewrapDataKey(provider: KeyProvider, stored: WrappedDataKey): Promise<WrappedDataKey> {
  const { id, ownerId } = stored
  const { key } = await unwrapDataKey(provider, stored)
  return { id, ownerId, ...(await provider.wrap(key, wrappingOf(id, ownerId))) }
}

function wrappingOf(dataKeyId: string, ownerId: string): Buffer {
  return associatedData('latchkey/data-key', String(VERSION), dataKeyId.toLowerCase(), ownerId)
}

function placeOf(dataKeyId: string, { ownerId, table, column, rowId, generation }: SealContext): Buffer {
  if (typeof generation === 'number' && !Number.isSafeInteger(generation)) throw new SealError('Unusable generation')
  const place = [ownerId, table, column, rowId, String(generation)]
  return associatedData('latchkey/field', String(VERSION), ...place, dataKeyId.toLowerCase())
}

function deriveKey(key: Buffer, label: string): Buffer {
  if (key.length !== KEY_BYTES) throw new Error('An encryption key is 32 bytes')
  return Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), label, KEY_BYTES))
}

function header(dataKeyId: string): Buffer {
  if (!isUuid(dataKeyId)) throw new SealError('The data key has no usable id')
  return Buffer.concat([Buffer.of(VERSION), Buffer.from(dataKeyId.replaceAll('-', ''), 'hex')])
}

function unopenable(): SealError {
  return new SealError('The envelope does not open')
}
