import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { sha256 } from '../../../lib/ids.ts'

/**
 * `lk_` + key id (32 hex) + 256 random bits (64 hex) + CRC-32 of all before (8 hex): a secret scanner knows it by its
 * prefix and throws out chance finds by the checksum; a mistyped key costs no query.
 */
const KEY = /^lk_([0-9a-f]{32})([0-9a-f]{64})([0-9a-f]{8})$/

const checksum = (text: string) => crc32(text).toString(16).padStart(8, '0')

/** A new key for the given key id (UUID): the text to hand out once, what may be shown of it later, and what to store. */
export function newApiKey(keyId: string): { key: string; prefix: string; secretHash: Buffer } {
  const secret = randomBytes(32).toString('hex')
  const body = `lk_${keyId.replaceAll('-', '')}${secret}`
  return { key: body + checksum(body), prefix: body.slice(0, 15), secretHash: sha256(secret) }
}

/** The key id and the hash to compare of a presented key; null when it cannot be one of ours. */
export function parseApiKey(presented: string): { keyId: string; secretHash: Buffer } | null {
  const match = KEY.exec(presented)
  if (!match?.[1] || !match[2] || checksum(presented.slice(0, -8)) !== match[3]) return null
  const [hex, secret] = [match[1], match[2]]
  const keyId = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
  return { keyId, secretHash: sha256(secret) }
}
