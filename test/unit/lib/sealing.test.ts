import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { uuidv7 } from '../../../src/lib/ids.ts'
import {
  createLocalKeyring,
  type DataKey,
  dataKeyIdOf,
  newDataKey,
  open,
  rewrapDataKey,
  type SealContext,
  SealError,
  seal,
  unwrapDataKey,
} from '../../../src/lib/sealing.ts'

const place: SealContext = {
  ownerId: 'grant-1',
  table: 'grant_tokens',
  column: 'refresh_ct',
  rowId: 'row-1',
  generation: 7,
}
const makeKey = (): DataKey => ({ id: uuidv7(), key: randomBytes(32) })
const makeRingKey = (kid: string) => ({ kid, key: randomBytes(32) })
const causeOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    if (error instanceof SealError) return error.message
    throw error
  }
  return 'opened'
}
const UNIFORM = 'The envelope does not open'

describe('a sealed field', () => {
  test('opens in its place, an empty text and any character alike, and shows nothing of its content', () => {
    const key = makeKey()
    const envelope = seal(key, place, 'a-refresh-token')
    expect(open(key, place, envelope).toString()).toBe('a-refresh-token')
    expect(envelope.includes('a-refresh-token')).toBe(false)
    expect(open(key, place, seal(key, place, ''))).toEqual(Buffer.alloc(0))
    expect(open(key, place, seal(key, place, 'é\0🔑')).toString('utf8')).toBe('é\0🔑')
  })

  test('never looks the same twice', () => {
    const key = makeKey()
    const nonces = Array.from({ length: 500 }, () => seal(key, place, 'x').toString('hex', 17, 29))
    expect(new Set(nonces).size).toBe(500)
  })

  test('names its data key in clear, and does not open with another under any id', () => {
    const key = makeKey()
    const envelope = seal(key, place, 'x')
    expect(dataKeyIdOf(envelope)).toBe(key.id)
    expect(causeOf(() => open(makeKey(), place, envelope))).toBe(UNIFORM)
    expect(causeOf(() => open({ ...makeKey(), id: key.id }, place, envelope))).toBe(UNIFORM)
    expect(causeOf(() => open({ ...key, id: uuidv7() }, place, envelope))).toBe(UNIFORM)
    expect(open({ ...key, id: key.id.toUpperCase() }, place, envelope).toString()).toBe('x')
  })

  test.each([
    ['owner', { ownerId: 'grant-2' }],
    ['table', { table: 'hosts' }],
    ['column', { column: 'access_ct' }],
    ['row', { rowId: 'row-2' }],
    ['generation', { generation: 8 }],
    ['field border', { table: 'grant_token', column: 'srefresh_ct' }],
  ])('does not open with another %s', (_part, moved) => {
    const key = makeKey()
    expect(causeOf(() => open(key, { ...place, ...moved }, seal(key, place, 'x')))).toBe(UNIFORM)
  })

  test('takes its generation as number or bigint, and refuses one that a number cannot hold', () => {
    const key = makeKey()
    expect(open(key, { ...place, generation: 7n }, seal(key, place, 'x')).toString()).toBe('x')
    for (const generation of [2 ** 53, 1.5, Number.NaN]) {
      expect(() => seal(key, { ...place, generation }, 'x')).toThrow(SealError)
    }
  })

  test('does not open after any one bit was flipped, and all causes read alike', () => {
    const key = makeKey()
    const envelope = seal(key, place, 'x')
    for (let bit = 8; bit < envelope.length * 8; bit++) {
      const flipped = Buffer.from(envelope)
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(
        causeOf(() => open(key, place, flipped)),
        `bit ${bit}`,
      ).toBe(UNIFORM)
    }
  })

  test('does not open at any shorter or longer length', () => {
    const key = makeKey()
    const envelope = seal(key, place, 'token')
    for (let length = 0; length < envelope.length; length++) {
      expect(causeOf(() => open(key, place, envelope.subarray(0, length)))).toBe(UNIFORM)
    }
    expect(causeOf(() => open(key, place, Buffer.concat([envelope, Buffer.of(0)])))).toBe(UNIFORM)
  })

  test('names no data key where it is too short to hold anything', () => {
    const key = makeKey()
    const shortest = seal(key, place, '')
    expect(dataKeyIdOf(shortest)).toBe(key.id)
    for (let length = 0; length < shortest.length; length++)
      expect(
        causeOf(() => dataKeyIdOf(shortest.subarray(0, length))),
        `${length}`,
      ).toBe(UNIFORM)
  })

  test('of an unknown version is refused by a message of its own', () => {
    const key = makeKey()
    const envelope = seal(key, place, 'x')
    envelope[0] = 2
    expect(causeOf(() => open(key, place, envelope))).toContain('version')
    expect(causeOf(() => dataKeyIdOf(envelope))).toContain('version')
  })

  test('that does not open is known by the name of its error, in the log too', () => {
    expect(new SealError(UNIFORM)).toMatchObject({ name: 'SealError', message: UNIFORM })
  })

  test('is not made under a key without a usable id', () => {
    expect(() => seal({ id: 'key-1', key: randomBytes(32) }, place, 'x')).toThrow(SealError)
  })
})

describe('the local keyring', () => {
  test('wraps with its first key and unwraps with all', async () => {
    const [old, next] = [makeRingKey('2024'), makeRingKey('2025')] as const
    const stored = { ...(await newDataKey(createLocalKeyring([old]), 'grant-1')), ownerId: 'grant-1' }
    const ring = createLocalKeyring([next, old])
    expect([ring.currentKid, ring.kids()]).toEqual(['2025', ['2025', '2024']])
    expect(stored.kid).toBe('2024')
    expect(await unwrapDataKey(ring, stored)).toEqual({ id: stored.id, key: stored.key })
    expect((await newDataKey(ring, 'grant-1')).kid).toBe('2025')
  })

  test('does not unwrap a data key that was moved to another owner or id, changed, or wrapped by an unknown key', async () => {
    const ring = createLocalKeyring([makeRingKey('a')])
    const stored = { ...(await newDataKey(ring, 'grant-1')), ownerId: 'grant-1' }
    const changed = Buffer.from(stored.wrapped)
    changed[20] = (changed[20] as number) ^ 1
    const unknownVersion = Buffer.from(stored.wrapped).fill(9, 0, 1)
    const attempts = [
      { ...stored, ownerId: 'grant-2' },
      { ...stored, id: uuidv7() },
      { ...stored, wrapped: changed },
      { ...stored, wrapped: Buffer.alloc(0) },
      { ...stored, wrapped: stored.wrapped.subarray(0, 10) },
      { ...stored, wrapped: unknownVersion },
      { ...stored, kid: 'b' },
    ]
    for (const attempt of attempts) await expect(unwrapDataKey(ring, attempt)).rejects.toThrow(SealError)
    const [other] = [createLocalKeyring([makeRingKey('a')])]
    await expect(unwrapDataKey(other, stored)).rejects.toThrow(SealError)
  })

  test('names the key that ENCRYPTION_KEYS lacks, and a version of a later release: the operator can mend both', async () => {
    const ring = createLocalKeyring([makeRingKey('a')])
    const stored = { ...(await newDataKey(ring, 'grant-1')), ownerId: 'grant-1' }
    await expect(unwrapDataKey(ring, { ...stored, kid: '2024' })).rejects.toThrow('ENCRYPTION_KEYS lacks 2024')
    await expect(ring.wrap(stored.key, Buffer.alloc(0), '2024')).rejects.toThrow('ENCRYPTION_KEYS lacks 2024')
    const later = Buffer.from(stored.wrapped).fill(2, 0, 1)
    await expect(unwrapDataKey(ring, { ...stored, wrapped: later })).rejects.toThrow(/version .* release/)
  })

  test('wraps a data key anew under its current key: same id, owner and content, and what was sealed before still opens', async () => {
    const [old, next] = [makeRingKey('2024'), makeRingKey('2025')] as const
    const { id, key, ...wrapping } = await newDataKey(createLocalKeyring([old]), 'grant-1')
    const envelope = seal({ id, key }, place, 'x')
    const rewrapped = await rewrapDataKey(createLocalKeyring([next, old]), { id, ownerId: 'grant-1', ...wrapping })
    expect(rewrapped).toEqual({ id, ownerId: 'grant-1', kid: '2025', wrapped: expect.any(Buffer) })
    // the old key may leave the ring now
    expect(open(await unwrapDataKey(createLocalKeyring([next]), rewrapped), place, envelope).toString()).toBe('x')
  })

  test('refuses a wrapped key of the wrong length', async () => {
    const ring = createLocalKeyring([makeRingKey('a')])
    const short = { ...ring, unwrap: async () => randomBytes(16) }
    const stored = { ...(await newDataKey(ring, 'o')), ownerId: 'o' }
    await expect(unwrapDataKey(short, stored)).rejects.toThrow(SealError)
  })

  test('derives another key for each purpose, one per key of the ring', () => {
    const keys = [makeRingKey('a'), makeRingKey('b')]
    const ring = createLocalKeyring(keys)
    const all = [...ring.derive('latchkey/cursor'), ...ring.derive('latchkey/cookie'), ...keys.map(({ key }) => key)]
    expect(new Set(all.map((key) => key.toString('hex'))).size).toBe(6)
    expect(ring.derive('latchkey/cursor')).toEqual(createLocalKeyring(keys).derive('latchkey/cursor'))
  })

  test('needs at least one key, each of 32 bytes and with a kid of its own', () => {
    expect(() => createLocalKeyring([])).toThrow('at least one key')
    expect(() => createLocalKeyring([{ kid: 'a', key: randomBytes(31) }])).toThrow('32 bytes')
    expect(() => createLocalKeyring([makeRingKey('a'), makeRingKey('a')])).toThrow('each kid once')
  })
})

test('what an earlier release sealed is read for ever: envelope and wrapping version 1', async () => {
  const ring = createLocalKeyring([makeRingKey('newer'), { kid: 'fixture', key: Buffer.alloc(32, 7) }])
  const wrapped = Buffer.from(
    'ASiZIHd1jAvdyYIuy+r0sDT9pTN+NC69/lH8CUqGDu4WVOiZPnfPi2PmbxgUeKjVPZIV2ToxUQW5lD7Hzg==',
    'base64',
  )
  const stored = { id: '01a20be8-c3c8-7369-acd4-3968f2b00b20', ownerId: 'grant-1', kid: 'fixture', wrapped }
  const envelope = Buffer.from(
    'AQGiC+jDyHNprNQ5aPKwCyB3bQZXyQx3usQt9Fn6tW/Z5Z65IacRQZE3qn2ZLj3d0wOQMfMF8RxNoS2wDh8=',
    'base64',
  )
  expect(open(await unwrapDataKey(ring, stored), place, envelope).toString()).toBe('made by version 1')
})
