import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseWebhookSecret } from '../../../src/lib/standard-webhooks.ts'
import { type SignatureVerdict, signaturePresence, verifyRecallSignature } from '../../../src/recall/signature.ts'

const KEY = parseWebhookSecret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') as Buffer
const ID = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
const TS = 1_614_265_330
const GET_SIGNATURE = 'v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A='
const WRONG = 'v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc='
const OK = { ok: true, webhookId: ID, secretId: 'first' }
const no = (reason: string) => ({ ok: false, reason })

interface Sent {
  id?: string | undefined
  timestamp?: string | undefined
  signature?: string | undefined
  family?: string
}

function headers({
  id = ID,
  timestamp = String(TS),
  signature = GET_SIGNATURE,
  family = 'webhook',
}: Sent = {}): string[] {
  return ['Host', 'x', `${family}-id`, id, `${family}-timestamp`, timestamp, `${family}-signature`, signature]
}

function verify(rawHeaders: string[], more: { payload?: Buffer; nowMs?: number; keys?: Record<string, Buffer> } = {}) {
  const { nowMs = TS * 1000, keys = { first: KEY }, payload } = more
  const secrets = Object.entries(keys).map(([id, key]) => ({ id, key: createSecretKey(key) }))
  const request = { rawHeaders, secrets, nowMs, toleranceSeconds: 300, ...(payload ? { payload } : {}) }
  return verifyRecallSignature(request)
}

function sign(text: string, key: Buffer = KEY): string {
  return `v1,${createHmac('sha256', key).update(text).digest('base64')}`
}

function expectRefused(verdict: SignatureVerdict, hint: string): void {
  expect(verdict.ok, hint).toBe(false)
}

describe('published vectors', () => {
  test('the official one with a body', () => {
    const signature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    expect(verify(headers({ signature }), { payload: Buffer.from('{"test": 2432232314}') })).toEqual(OK)
    expectRefused(verify(headers({ signature })), 'without its body')
  })

  test('the empty body of a GET, which is not the text null', () => {
    expect(verify(headers())).toEqual(OK)
    const sent = { id: 'msg_loFOjxBNrRLzqYUf', timestamp: '1731705121' }
    const at = { nowMs: 1_731_705_121_000 }
    const empty = verify(headers({ ...sent, signature: 'v1,Wgi9CsDZXW+smmM5daNSOOiP608BBvRmpGX7zD+S/eA=' }), at)
    expect(empty).toEqual({ ok: true, webhookId: sent.id, secretId: 'first' })
    expectRefused(
      verify(headers({ ...sent, signature: 'v1,OPzwIo7zBuHRMrHTAxdw8G566arnn4fQ7MzGwsq6NOE=' }), at),
      'null',
    )
  })
})

describe('lists of entries', () => {
  const noise = [
    WRONG,
    `v2,${GET_SIGNATURE.slice(3)}`,
    `v1a,${GET_SIGNATURE.slice(3)}`,
    'v1',
    '',
    `v1,${randomBytes(31).toString('base64')}`,
  ]

  test('a good entry passes wherever it stands among bad ones, which alone never pass nor throw', () => {
    for (let at = 0; at <= noise.length; at++) {
      expect(verify(headers({ signature: noise.toSpliced(at, 0, GET_SIGNATURE).join(' ') })), `at ${at}`).toEqual(OK)
    }
    expectRefused(verify(headers({ signature: noise.join(' ') })), 'noise alone')
  })

  test('at least ten entries are taken, a header above 2 KiB is not', () => {
    expect(verify(headers({ signature: [...Array(9).fill(WRONG), GET_SIGNATURE].join(' ') }))).toEqual(OK)
    expectRefused(verify(headers({ signature: [...Array(5000).fill(WRONG), GET_SIGNATURE].join(' ') })), '5,000')
    const padded = (bytes: number) => headers({ signature: `${GET_SIGNATURE} `.padEnd(bytes, 'x') })
    expect(verify(padded(2048))).toEqual(OK)
    expectRefused(verify(padded(2049)), 'long')
  })

  test('each of several secrets is tried and the one that matched is named', () => {
    const keys = { old: randomBytes(24), first: KEY, other: randomBytes(64) }
    expect(verify(headers(), { keys })).toEqual(OK)
    expect(verify(headers({ signature: `${WRONG} ${GET_SIGNATURE}` }), { keys })).toEqual(OK)
    expect(verify(headers(), { keys: { old: randomBytes(24) } })).toEqual(no('signature_mismatch'))
    expect(verify(headers(), { keys: {} })).toEqual(no('no_secret_configured'))
  })

  test('with two secrets that both signed, the first configured one is named', () => {
    const second = randomBytes(32)
    const signature = `${sign(`${ID}.${TS}.`, second)} ${GET_SIGNATURE}`
    expect(verify(headers({ signature }), { keys: { first: KEY, second } })).toEqual(OK)
  })
})

describe('the MAC', () => {
  const mac = GET_SIGNATURE.slice(3)
  test.each([
    ['nothing after the label', 'v1,'],
    ['no label', mac],
    ['label in upper case', `V1,${mac}`],
    ['label v1a', `v1a,${mac}`],
    ['base64url', `v1,${mac.replaceAll('+', '-').replaceAll('/', '_')}`],
    ['no padding', `v1,${mac.slice(0, -1)}`],
    ['junk inside', `v1,${mac.slice(0, 20)}!*${mac.slice(20)}`],
    ['bytes after the padding', `v1,${mac}AAAA`],
    ['spare bits set', `v1,${mac.slice(0, -2)}B=`],
    ['hex', `v1,${Buffer.from(mac, 'base64').toString('hex')}`],
    ['two commas', `v1,,${mac}`],
    ['tab as separator', `${WRONG}\t${GET_SIGNATURE}`],
    ['comma as separator', `${WRONG}, ${GET_SIGNATURE},`],
  ])('is refused: %s', (_what, signature) => {
    expect(verify(headers({ signature }))).toEqual(no('signature_mismatch'))
  })

  test('is refused with any bit flipped', () => {
    for (let bit = 0; bit < 256; bit++) {
      const bytes = Buffer.from(mac, 'base64')
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
      expectRefused(verify(headers({ signature: `v1,${bytes.toString('base64')}` })), `bit ${bit}`)
    }
  })

  test('is refused over another text: without the last dot, or with the secret taken as text', () => {
    expectRefused(verify(headers({ signature: sign(`${ID}.${TS}`) })), 'no dot')
    const asText = Buffer.from('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
    expectRefused(verify(headers({ signature: sign(`${ID}.${TS}.`, asText) })), 'text key')
  })
})

describe('headers', () => {
  test.each(['id', 'timestamp', 'signature'])('a missing or empty %s counts as missing', (part) => {
    const all = headers()
    const at = all.indexOf(`webhook-${part}`)
    expect(verify(all.toSpliced(at, 2))).toEqual(no('signature_missing'))
    expect(verify(headers({ [part]: '' }))).toEqual(no('signature_missing'))
  })

  test('no header at all, or an underscore in the name, is missing too', () => {
    expect(verify([])).toEqual(no('signature_missing'))
    expect(verify(headers().map((text) => text.replace('webhook-id', 'webhook_id')))).toEqual(no('signature_missing'))
  })

  test.each(['id', 'timestamp', 'signature'])('a %s on two lines is refused, the same or another', (part) => {
    const all = headers()
    const value = all[all.indexOf(`webhook-${part}`) + 1] as string
    expect(verify([...all, `Webhook-${part}`, value])).toEqual(no('signature_mismatch'))
    expect(verify([`webhook-${part}`, 'x', ...all])).toEqual(no('signature_mismatch'))
  })

  test('names count in any case, and the older family alone is enough', () => {
    expect(verify(headers().map((text, i) => (i % 2 ? text : text.toUpperCase())))).toEqual(OK)
    expect(verify(headers({ family: 'svix' }))).toEqual(OK)
  })

  test('families never mix: any standard header makes the older family not count', () => {
    const svix = headers({ family: 'svix' })
    expect(verify([...svix, 'webhook-id', ID])).toEqual(no('signature_missing'))
    expect(verify([...headers({ signature: WRONG }), ...svix])).toEqual(no('signature_mismatch'))
    expect(verify([...headers(), ...headers({ family: 'svix', signature: WRONG })])).toEqual(OK)
    const half = headers().map((text) => text.replace('webhook-timestamp', 'svix-timestamp'))
    expect(verify(half)).toEqual(no('signature_missing'))
  })

  test.each(['a.b', 'a b', 'id\u00e9', 'a%0a', '"id"', '../id', 'x'.repeat(129), 'x'.repeat(8192)])(
    'the id %j is refused',
    (id) => {
      expect(verify(headers({ id, signature: sign(`${id}.${TS}.`) }))).toEqual(no('signature_mismatch'))
    },
  )

  test('a name at the end without a value counts for nothing', () => {
    expect(verify([...headers(), 'webhook-id'])).toEqual(OK)
  })

  test('presence is told apart from validity, wherever the header stands, and a value that reads like a name is none', () => {
    expect(signaturePresence(['host', 'webhook-id'])).toBe('absent')
    expect(signaturePresence(['host', 'x', 'accept', 'webhook-id', 'svix-id', 'x'])).toBe('present')
    for (const family of ['webhook', 'Svix']) {
      for (const part of ['id', 'timestamp', 'signature'])
        expect(signaturePresence([`${family}-${part}`, ''])).toBe('present')
    }
  })
})

describe('the timestamp', () => {
  const at = (timestamp: string) => verify(headers({ timestamp, signature: sign(`${ID}.${timestamp}.`) }))

  test('holds for exactly the tolerance in both directions', () => {
    for (const ageSeconds of [-300, 0, 300]) expect(at(String(TS - ageSeconds)), `${ageSeconds}`).toEqual(OK)
    for (const ageSeconds of [-301, 301]) expect(at(String(TS - ageSeconds))).toEqual(no('timestamp_out_of_range'))
    expect(verify(headers(), { nowMs: (TS + 300) * 1000 + 999 })).toEqual(OK)
  })

  test.each([
    `${TS}000`,
    `-${TS}`,
    '-0',
    '0',
    `0${TS}`,
    `000${TS}`,
    '0x60374df2',
    '0b11',
    '1_614_265_330',
    'NaN',
    'Infinity',
    'null',
    'undefined',
    'true',
    '9007199254740993',
    '18446744073709551616',
    '9'.repeat(400),
    '2021-02-25T15:02:10Z',
    `${TS} junk`,
    `${TS}junk`,
    ` ${TS}`,
    `${TS} `,
    `${TS}.0`,
    `${TS}e0`,
    `+${TS}`,
    '\u0661\u0666\u0661\u0664\u0662\u0666\u0665\u0663\u0663\u0660',
  ])('%j is refused though it is signed', (timestamp) => {
    expect(at(timestamp)).toEqual(no('timestamp_out_of_range'))
  })

  test('out of range is only told to who signed it', () => {
    expect(verify(headers({ timestamp: String(TS - 301) }))).toEqual(no('signature_mismatch'))
  })
})

test('no other id, time, body or key verifies, and nothing throws', () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom(ID, String(TS), GET_SIGNATURE, WRONG),
  )
  fc.assert(
    fc.property(text, text, text, (id, timestamp, signature) => {
      const isTheVector = id === ID && timestamp === String(TS) && signature.split(' ').includes(GET_SIGNATURE)
      expect(verify(headers({ id, timestamp, signature })).ok).toBe(isTheVector)
    }),
  )
})

test('header lines of any kind and number throw nothing, and verify only what stands in one line each', () => {
  const good: [string, string][] = [
    ['webhook-id', ID],
    ['Webhook-Timestamp', String(TS)],
    ['webhook-signature', GET_SIGNATURE],
  ]
  const name = fc.oneof(fc.constantFrom(...good.map(([each]) => each), 'svix-id', 'svix-signature'), fc.string())
  const value = fc.oneof(fc.constantFrom(ID, String(TS), GET_SIGNATURE, WRONG), fc.string({ unit: 'binary' }))
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 4 }), fc.boolean(), (noise, isSigned) => {
      const counts = noise.filter(([each]) => /^webhook-(id|timestamp|signature)$/i.test(each))
      const verdict = verify([...(isSigned ? good : []), ...noise].flat())
      if (isSigned) expect(verdict.ok).toBe(counts.length === 0)
      else if (counts.length < 3) expect(verdict.ok).toBe(false)
    }),
    { numRuns: 500 },
  )
})

describe('verification secrets', () => {
  test.each([24, 32, 64])('of %i bytes are taken', (bytes) => {
    const key = randomBytes(bytes)
    expect(parseWebhookSecret(`whsec_${key.toString('base64')}`)).toEqual(key)
  })

  test('of another length, alphabet, prefix or spelling are refused', () => {
    const good = randomBytes(32).toString('base64')
    const bad = [
      '',
      'whsec_',
      good,
      `WHSEC_${good}`,
      ` whsec_${good}`,
      `whsec_${good}\n`,
      `whsec_${good.slice(0, -1)}`,
      `whsec_${good}=`,
      `whsec_${randomBytes(23).toString('base64')}`,
      `whsec_${randomBytes(65).toString('base64')}`,
      `whsec_${'-_'.repeat(16)}`,
      `whsec_${'A'.repeat(42)}B=`,
    ]
    for (const text of bad) expect(parseWebhookSecret(text), text).toBeNull()
  })
})
