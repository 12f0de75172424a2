import { describe, expect, test } from 'vitest'
import { encryptedToken, verifyZoomEvent } from '../../../src/zoom/signature.ts'

const SECRET = 'latchkey-test-secret-token'
const TIMESTAMP = 1700000000
const verify = (
  body: string | Buffer,
  signature: string,
  { secrets = [SECRET], timestamp = String(TIMESTAMP), nowSeconds = TIMESTAMP, more = [] as string[] } = {},
) =>
  verifyZoomEvent({
    rawHeaders: ['X-Zm-Signature', signature, 'x-zm-request-timestamp', timestamp, ...more],
    body: Buffer.from(body),
    secrets,
    nowMs: nowSeconds * 1000,
  })
const VALIDATION =
  '{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1700000000000}'
const VALID = 'v0=5d1709b12550a0962134d04864e8391544a2bdd691f7fbaf0c73783b8f7b4a43'
const SPACED =
  '{"event": "meeting.started", "event_ts": 1700000000123, "payload": {"account_id": "AAA", "object": {"id": "85996249517", "topic": "Caf\\u00e9"}}}'
const hex = VALID.slice(3)

describe('the signature of an event', () => {
  test.each([
    [VALIDATION, VALID],
    [SPACED, 'v0=99c104b6645887700f996573e6e07b87eedf01bad7d0d25bd27f6564ab70c1c6'],
  ])('holds over the very bytes that came: %s', (body, signature) => {
    expect(verify(body, signature)).toEqual({ ok: true, secret: SECRET })
  })

  test('holds for the vector of Zoom’s own documentation', () => {
    const body = '{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}'
    const timestamp = '1614265330'
    const answer = verify(body, 'v0=d9de6316cb25dc9d9e14da47526985e50b08dbe4f90653986614f123416864b0', {
      secrets: ['zoom_secret_token'],
      timestamp,
      nowSeconds: Number(timestamp),
    })
    expect(answer.ok).toBe(true)
  })

  test('of JSON written again fails', () => {
    expect(verify(SPACED, 'v0=438131e8af1ee2b32e558577b83805ac774dfa5fb32a05c2b5b76fb9acac9fb4').ok).toBe(false)
  })

  test('holds with either of two secrets during a rotation, and with a removed one no more', () => {
    expect(verify(VALIDATION, VALID, { secrets: ['new', SECRET] })).toEqual({ ok: true, secret: SECRET })
    expect(verify(VALIDATION, VALID, { secrets: ['new'] }).ok).toBe(false)
  })

  test.each([
    ['v0=', 'empty'],
    [`v0=${hex.toUpperCase()}`, 'upper case'],
    [`v0=${hex.slice(1)}`, '63 characters'],
    [`v0=${hex}0`, '65 characters'],
    [`v1=${hex}`, 'another version'],
    [hex, 'no version'],
    [`v0=${Buffer.from(hex, 'hex').toString('base64')}`, 'base64'],
    [` ${VALID}`, 'a space before it'],
  ])('is refused as %s (%s)', (signature) => {
    expect(verify(VALIDATION, signature).ok).toBe(false)
  })

  test('sent twice, or with two timestamps, is refused', () => {
    expect(verify(VALIDATION, VALID, { more: ['x-zm-signature', VALID] }).ok).toBe(false)
    expect(verify(VALIDATION, VALID, { more: ['X-ZM-Request-Timestamp', String(TIMESTAMP)] }).ok).toBe(false)
  })

  test.each([
    [7200, true],
    [7201, false],
    [-300, true],
    [-301, false],
  ])('is taken %i s after its timestamp: %s', (age, isTaken) => {
    expect(verify(VALIDATION, VALID, { nowSeconds: TIMESTAMP + age }).ok).toBe(isTaken)
  })

  test.each(['', '1700000000000', '-1700000000', '1.7e9', '01700000000', '1700000000 '])(
    'with the timestamp "%s" is refused',
    (timestamp) => {
      expect(verify(VALIDATION, VALID, { timestamp }).ok).toBe(false)
    },
  )
})

test.each([
  ['latchkey-test-secret-token', 'a6f3659ea05ee866ef19214520ba7d42b91c9ae74c92dbbc988863b03027b3b8'],
  ['zoom_secret_token', 'bd48235863f4a6323ccc4963c594908b7c97f88b4a6a95278f4f093690b12726'],
])('the answer to a validation is the token under the secret %s', (secret, expected) => {
  expect(encryptedToken(secret, 'qgg8vlvZRS6UYooatFL8Aw')).toBe(expected)
})
