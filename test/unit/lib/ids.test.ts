import { expect, test } from 'vitest'
import { constantTimeEqual, isUuid, randomSecret, sha256, uuidv7 } from '../../../src/lib/ids.ts'

test('a UUID of version 7 has its version, its variant and the time it was made at', () => {
  const nowMs = Date.now() + 1000
  const id = uuidv7(nowMs)
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(nowMs)
})

test('UUIDs of one millisecond, more than its counter holds, are distinct and in order', () => {
  const nowMs = Date.now() + 2000
  const ids = Array.from({ length: 10_000 }, () => uuidv7(nowMs))
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids.toSorted()).toEqual(ids)
})

test('a clock that steps back does not break the order of UUIDs', () => {
  const later = uuidv7(Date.now() + 60_000)
  expect(uuidv7(Date.now()) > later).toBe(true)
})

test('only the hyphenated form counts as a UUID', () => {
  const id = uuidv7()
  expect([isUuid(id), isUuid(id.toUpperCase())]).toEqual([true, true])
  for (const bad of [
    '',
    'null',
    id.replaceAll('-', ''),
    `{${id}}`,
    `${id}\n`,
    ` ${id}`,
    `${id}0`,
    id.replace('-', '\u2010'),
  ]) {
    expect(isUuid(bad), JSON.stringify(bad)).toBe(false)
  }
})

test('secrets are 256 bits of base64url and never repeat', () => {
  const secrets = Array.from({ length: 100 }, randomSecret)
  expect(new Set(secrets).size).toBe(100)
  for (const secret of secrets) expect(secret).toMatch(/^[A-Za-z0-9_-]{43}$/)
})

test('a secret is hashed with SHA-256', () => {
  expect(sha256('abc').toString('hex')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})

test('buffers of unequal length are unequal, without an exception', () => {
  expect(constantTimeEqual(Buffer.from('abc'), Buffer.from('abc'))).toBe(true)
  expect(constantTimeEqual(Buffer.from('abc'), Buffer.from('abd'))).toBe(false)
  expect(constantTimeEqual(Buffer.from('abc'), Buffer.from('ab'))).toBe(false)
})
