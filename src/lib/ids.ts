import { hash, randomBytes, randomFillSync, timingSafeEqual } from 'node:crypto'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const COUNTER_LIMIT = 0x1000
const UUID_BYTES = 16

// A call for random bytes costs fifty times what 16 of them do, so they are drawn for 256 ids at once; each byte serves once.
const pool = Buffer.alloc(256 * UUID_BYTES)
let poolOffset = pool.length

/** Where in the pool the next unused bytes lie. */
function drawRandomBytes(): number {
  if (poolOffset === pool.length) {
    randomFillSync(pool)
    poolOffset = 0
  }
  poolOffset += UUID_BYTES
  return poolOffset - UUID_BYTES
}

let lastMs = -1
let counter = 0

/**
 * A version 7 UUID, lower case. Within one process each is greater than the one before, also in one millisecond and when the
 * clock steps back: `rand_a` is a counter that starts in its lower half, and an overflow borrows from the next millisecond.
 * An identifier, never a secret.
 * @see https://www.rfc-editor.org/rfc/rfc9562#section-6.2
 */
export function uuidv7(nowMs: number = Date.now()): string {
  const at = drawRandomBytes()
  if (nowMs > lastMs) {
    lastMs = Math.floor(nowMs)
    counter = pool.readUInt16BE(at + 6) & 0x7ff
  } else if (++counter === COUNTER_LIMIT) {
    lastMs += 1
    counter = pool.readUInt16BE(at + 6) & 0x7ff
  }
  pool.writeUIntBE(lastMs, at, 6)
  pool.writeUInt16BE(0x7000 | counter, at + 6)
  pool.writeUInt8(0x80 | (pool.readUInt8(at + 8) & 0x3f), at + 8)
  const hex = pool.toString('hex', at, at + UUID_BYTES)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** Whether the text is a UUID of any version in its hyphenated form, which Postgres takes without raising. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}

/** A new secret: 256 random bits as 43 characters of base64url. */
export function randomSecret(): string {
  return randomBytes(32).toString('base64url')
}

/** SHA-256 of bytes, or of a text's UTF-8: how secrets of 256 random bits are stored. Too fast for anything a person chose. */
export function sha256(data: string | Buffer): Buffer {
  return hash('sha256', data, 'buffer')
}

/** Compares in constant time. `timingSafeEqual` throws on unequal lengths; here they are simply not equal. */
export function constantTimeEqual(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
