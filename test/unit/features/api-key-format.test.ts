import { randomUUID } from 'node:crypto'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newApiKey, parseApiKey } from '../../../src/features/tenants/api-keys/key-format.ts'

test('a new key names its id and its hash, and no two are the same', () => {
  const id = randomUUID()
  const made = [newApiKey(id), newApiKey(id)]
  for (const { key, prefix, secretHash } of made) {
    expect(parseApiKey(key)).toEqual({ keyId: id, secretHash })
    expect(key.startsWith(prefix)).toBe(true)
  }
  expect(made[0]?.key).not.toBe(made[1]?.key)
})

test('a key with any one letter changed, cut or added to is none', () => {
  const { key } = newApiKey(randomUUID())
  fc.assert(
    fc.property(fc.nat({ max: key.length - 1 }), fc.string({ minLength: 1, maxLength: 1 }), (at, letter) => {
      const changed = key.slice(0, at) + letter + key.slice(at + 1)
      expect(parseApiKey(changed) === null).toBe(changed !== key)
      expect(parseApiKey(key.slice(0, at))).toBeNull()
      expect(parseApiKey(key.slice(0, at) + letter + key.slice(at))).toBeNull()
    }),
    { numRuns: 500 },
  )
})

test('no other text is a key, whatever its checksum, and nothing throws', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^lk_[0-9a-f]{104}$/),
    fc.string({ maxLength: 120 }).map((body) => `lk_${body}${crc32(`lk_${body}`).toString(16).padStart(8, '0')}`),
  )
  fc.assert(
    fc.property(text, (presented) => {
      const isKey = /^lk_[0-9a-f]{104}$/.test(presented)
      const isSummed = crc32(presented.slice(0, -8)).toString(16).padStart(8, '0') === presented.slice(-8)
      expect(parseApiKey(presented) !== null).toBe(isKey && isSummed)
    }),
    { numRuns: 500 },
  )
})
