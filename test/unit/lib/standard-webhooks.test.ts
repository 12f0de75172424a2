import { createHmac, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { newWebhookSecret, parseWebhookSecret, signStandardWebhook } from '../../../src/lib/standard-webhooks.ts'

const KEY = parseWebhookSecret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') as Buffer
const MESSAGE = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestampSeconds: 1_614_265_330 }

describe('a signature', () => {
  test.each([
    ['{"test": 2432232314}', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='], // the standard's own vector
    ['', 'v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A='],
  ])('of the body %j is the one that the standard gives', (body, signature) => {
    expect(signStandardWebhook([KEY], { ...MESSAGE, body })).toBe(signature)
  })

  test('has an entry for each key, in their order, with a single space between', () => {
    const [first, second] = [randomBytes(32), randomBytes(32)]
    const message = { ...MESSAGE, body: '{}' }
    const alone = [first, second].map((key) => signStandardWebhook([key], message))
    expect(signStandardWebhook([first, second], message)).toBe(alone.join(' '))
  })

  test('covers the bytes that go over the wire, whatever characters the body holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (body) => {
        const bytes = Buffer.concat([Buffer.from('id.1614265330.'), Buffer.from(body, 'utf8')])
        const mac = createHmac('sha256', KEY).update(bytes).digest('base64')
        return signStandardWebhook([KEY], { ...MESSAGE, id: 'id', body }) === `v1,${mac}`
      }),
    )
  })
})

test('a new secret is whsec_ and 32 random bytes, never the same twice', () => {
  const made = Array.from({ length: 50 }, newWebhookSecret)
  expect(new Set(made).size).toBe(50)
  for (const secret of made) expect(parseWebhookSecret(secret)).toHaveLength(32)
})
