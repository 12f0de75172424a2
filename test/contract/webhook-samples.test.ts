import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { signStandardWebhook } from '../../src/lib/standard-webhooks.ts'

type IsAuthentic = (headers: Record<string, string>, rawBody: string | Buffer, secret: string) => boolean

/** The sample for Node, as it stands in docs/webhooks.md. */
async function nodeSample(): Promise<IsAuthentic> {
  const page = await readFile(join(import.meta.dirname, '..', '..', 'docs', 'webhooks.md'), 'utf8')
  const [, code] = /^```js\n(.*?)^```/ms.exec(page) ?? []
  const text = `${code}\nexport { isAuthentic }`
  const url: string = `data:text/javascript;base64,${Buffer.from(text).toString('base64')}`
  return ((await import(/* @vite-ignore */ url)) as { isAuthentic: IsAuthentic }).isAuthentic
}

test('the sample that receivers are given takes what Latchkey signs, during a rotation too, and nothing else', async () => {
  const isAuthentic = await nodeSample()
  const [newer, older] = [randomBytes(32), randomBytes(32)]
  const secretOf = (key: Buffer) => `whsec_${key.toString('base64')}`
  const body = '{"type":"host.connected","who":"Zoë"}'
  const signed = (timestampSeconds: number) => ({
    'webhook-id': 'event-1',
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signStandardWebhook([newer, older], { id: 'event-1', timestampSeconds, body }),
  })
  const nowSeconds = Math.floor(Date.now() / 1000)
  const headers = signed(nowSeconds)
  for (const key of [newer, older])
    for (const raw of [body, Buffer.from(body)]) expect(isAuthentic(headers, raw, secretOf(key))).toBe(true)
  expect(isAuthentic(headers, `${body} `, secretOf(newer))).toBe(false)
  expect(isAuthentic(headers, body, secretOf(randomBytes(32)))).toBe(false)
  expect(isAuthentic({ ...headers, 'webhook-id': 'event-2' }, body, secretOf(newer))).toBe(false)
  expect(isAuthentic(signed(nowSeconds - 400), body, secretOf(newer))).toBe(false)
})
