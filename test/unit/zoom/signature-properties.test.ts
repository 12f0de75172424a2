import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { verifyZoomEvent } from '../../../src/zoom/signature.ts'

const SECRET = 'secret-token'
const NOW = 1_700_000_000
const verify = (rawHeaders: string[], body: Buffer) =>
  verifyZoomEvent({ rawHeaders, body, secrets: [SECRET], nowMs: NOW * 1000 }).ok
const hexOf = (body: Buffer, timestamp: string, secret = SECRET) =>
  createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body).digest('hex')
const lines = (signature: string, timestamp: string) => [
  'X-Zm-Signature',
  signature,
  'x-zm-request-timestamp',
  timestamp,
]
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))

test('any bytes verify under their own signature, and under no bit of it flipped', () => {
  fc.assert(
    fc.property(bytes, fc.nat({ max: 255 }), (body, bit) => {
      const hex = hexOf(body, String(NOW))
      expect(verify(lines(`v0=${hex}`, String(NOW)), body)).toBe(true)
      const flipped = Buffer.from(hex, 'hex')
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(verify(lines(`v0=${flipped.toString('hex')}`, String(NOW)), body)).toBe(false)
    }),
  )
})

test('bytes of one event verify under no signature of another', () => {
  fc.assert(
    fc.property(bytes, bytes, (signed, sent) => {
      fc.pre(!signed.equals(sent))
      expect(verify(lines(`v0=${hexOf(signed, String(NOW))}`, String(NOW)), sent)).toBe(false)
    }),
  )
})

test('a text that is no plain number of seconds within the window never verifies, though it is signed, and nothing throws', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.integer({ min: NOW - 20_000, max: NOW + 2000 }).map(String),
    fc.constantFrom(`${NOW} `, ` ${NOW}`, `+${NOW}`, `0${NOW}`, `${NOW}.0`, `${NOW}000`, '1e9', '0x6553f100', 'NaN'),
  )
  fc.assert(
    fc.property(text, bytes, (timestamp, body) => {
      const isPlain = /^[1-9][0-9]{9}$/.test(timestamp)
      const isTimely = Number(timestamp) >= NOW - 7200 && Number(timestamp) <= NOW + 300
      expect(verify(lines(`v0=${hexOf(body, timestamp)}`, timestamp), body)).toBe(isPlain && isTimely)
    }),
    { numRuns: 500 },
  )
})

test('header lines of any kind and number throw nothing, and verify nothing that is not signed', () => {
  const name = fc.oneof(fc.constantFrom('x-zm-signature', 'X-ZM-Request-Timestamp', 'x-zm'), fc.string())
  const value = fc.oneof(fc.constantFrom('v0=', String(NOW), `v0=${'0'.repeat(64)}`), fc.string({ unit: 'binary' }))
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), bytes, (pairs, body) => {
      expect(verify(pairs.flat(), body)).toBe(false)
    }),
    { numRuns: 500 },
  )
})
