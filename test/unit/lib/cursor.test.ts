import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { type CursorScope, createCursorCodec } from '../../../src/lib/cursor.ts'

const KEY = randomBytes(32)
const codec = createCursorCodec([KEY])
const word = fc.string({ maxLength: 12 })
const scope: fc.Arbitrary<CursorScope> = fc.record({
  tenantId: word,
  list: word,
  filter: fc.dictionary(word, fc.option(word, { nil: undefined }), { maxKeys: 3 }),
})
const position = fc.string({ unit: 'grapheme', maxLength: 60 })

/** The position, or the code of the refusal; anything else that is thrown is a bug. */
function read(where: CursorScope, cursor: string | undefined) {
  try {
    return { position: codec.decode(where, cursor) }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { code: error.code }
  }
}
const REFUSED = { code: 'invalid_request' }

test('a cursor leads back to the position it was made of, in its own list, in the letters of a URL', () => {
  fc.assert(
    fc.property(scope, position, (where, at) => {
      const cursor = codec.encode(where, at)
      expect(cursor).toMatch(/^[A-Za-z0-9_-]+$/)
      expect(read(where, cursor)).toEqual({ position: at })
    }),
  )
})

test('no cursor at all, or an empty one, is the start', () => {
  for (const none of [undefined, '']) expect(read({ tenantId: 'a', list: 'b', filter: {} }, none).position).toBeNull()
})

test('any text that is none of ours is invalid_request, and nothing else is thrown', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.base64String(), fc.stringMatching(/^[A-Za-z0-9_-]{1,200}$/))
  fc.assert(
    fc.property(scope, text, (where, cursor) => {
      fc.pre(cursor !== '')
      expect(read(where, cursor)).toEqual(REFUSED)
    }),
    { numRuns: 500 },
  )
})

test('a cursor with any one bit flipped, cut anywhere or with anything behind it is refused', () => {
  fc.assert(
    fc.property(scope, position, fc.nat(), fc.string({ minLength: 1, maxLength: 5 }), (where, at, pick, more) => {
      const cursor = codec.encode(where, at)
      const bytes = Buffer.from(cursor, 'base64url')
      const bit = pick % (bytes.length * 8)
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(read(where, bytes.toString('base64url'))).toEqual(REFUSED)
      const cut = cursor.slice(0, pick % cursor.length)
      if (cut !== '') expect(read(where, cut)).toEqual(REFUSED)
      expect(read(where, cursor + more)).toEqual(REFUSED)
    }),
    { numRuns: 300 },
  )
})

test('a cursor of another tenant, list or filter, or of another key, is refused', () => {
  const named = ({ tenantId, list, filter }: CursorScope) =>
    JSON.stringify([
      tenantId,
      list,
      Object.entries(filter)
        .filter(([, value]) => value !== undefined)
        .sort(),
    ])
  fc.assert(
    fc.property(scope, scope, position, (mine, theirs, at) => {
      fc.pre(named(mine) !== named(theirs))
      expect(read(theirs, codec.encode(mine, at))).toEqual(REFUSED)
      expect(read(mine, createCursorCodec([randomBytes(32)]).encode(mine, at))).toEqual(REFUSED)
    }),
  )
})
