import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { signRecallRequest } from '../../simulator/recall.ts'
import { simulator } from './client.ts'

/** The key of the published Standard Webhooks vectors. */
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const SECOND_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const SVIX = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1614265330 }
const RECALL = { id: 'msg_loFOjxBNrRLzqYUf', timestamp: 1731705121 }

test.each([
  ['the published vector', SVIX, '{"test": 2432232314}', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='],
  ['the same with an empty body', SVIX, '', 'v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A='],
  ['a GET', RECALL, '', 'v1,Wgi9CsDZXW+smmM5daNSOOiP608BBvRmpGX7zD+S/eA='],
  ['the body null, which is not a GET', RECALL, 'null', 'v1,OPzwIo7zBuHRMrHTAxdw8G566arnn4fQ7MzGwsq6NOE='],
])('signs %s as Recall does', (_, { id, timestamp }, payload, signature) => {
  expect(signRecallRequest({ secrets: [SECRET], id, timestamp, payload })['webhook-signature']).toBe(signature)
})

async function bot() {
  const received: IncomingMessage[] = []
  const server = createServer((request, response) => {
    received.push(request)
    if (request.url === '/hang') return
    if (request.url === '/redirect') response.writeHead(302, { location: '/elsewhere' }).end()
    else response.writeHead(200, { 'content-type': 'text/plain' }).end('a-token')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sim: await simulator() }
}

test('a call is a GET without body or Authorization, to the URL as it stands', async () => {
  const { sim, url, received } = await bot()
  const result = await sim.recallCall({ url: `${url}/zoom/join-token?pass=x%2Fy&b=`, secret: SECRET, ...RECALL })
  expect(result).toMatchObject({ status: 200, body: 'a-token', error: null })
  expect([received[0]?.method, received[0]?.url]).toEqual(['GET', '/zoom/join-token?pass=x%2Fy&b='])
  expect(received[0]?.headers.authorization).toBeUndefined()
  expect(received[0]?.headers).toMatchObject({
    'webhook-id': RECALL.id,
    'webhook-timestamp': String(RECALL.timestamp),
    'webhook-signature': 'v1,Wgi9CsDZXW+smmM5daNSOOiP608BBvRmpGX7zD+S/eA=',
  })
})

test('ids are one per request, or one per bot when the bot is named', async () => {
  const { sim, url } = await bot()
  const idOf = async (more: object) => {
    const { request } = await sim.recallCall({ url, secret: SECRET, ...more })
    return request.headers['webhook-id']
  }
  expect(await idOf({})).not.toBe(await idOf({}))
  const first = await idOf({ bot: 'bot-1' })
  expect(await idOf({ bot: 'bot-1' })).toBe(first)
  expect(await idOf({ bot: 'bot-2' })).not.toBe(first)
})

test('several secrets sign in one header, as during a rotation, in either family of headers', async () => {
  const { sim, url } = await bot()
  const secret = [SECOND_SECRET, SECRET]
  const { request } = await sim.recallCall({ url, secret, ...RECALL, family: 'svix' })
  expect(Object.keys(request.headers)).toEqual(['svix-id', 'svix-timestamp', 'svix-signature'])
  const signatures = request.headers['svix-signature']?.split(' ') ?? []
  expect(signatures).toHaveLength(2)
  expect(signatures[1]).toBe('v1,Wgi9CsDZXW+smmM5daNSOOiP608BBvRmpGX7zD+S/eA=')
})

test('without a secret the request is unsigned, as from a workspace that has none', async () => {
  const { sim, url, received } = await bot()
  await sim.recallCall({ url })
  expect(Object.keys(received[0]?.headers ?? {}).filter((name) => /webhook|svix/.test(name))).toEqual([])
})

test('a redirect is shown and not followed, a silent server ends in an error', async () => {
  const { sim, url, received } = await bot()
  expect((await sim.recallCall({ url: `${url}/redirect`, secret: SECRET })).status).toBe(302)
  expect(received).toHaveLength(1)
  const silent = await sim.recallCall({ url: `${url}/hang`, secret: SECRET, timeout_ms: 50 })
  expect([silent.status, silent.body]).toEqual([null, ''])
  expect(silent.error).not.toBeNull()
})

test('another method can be tried, and a secret that is none is named as the mistake', async () => {
  const { sim, url, received } = await bot()
  await sim.recallCall({ url, secret: SECRET, method: 'HEAD' })
  expect(received[0]?.method).toBe('HEAD')
  await expect(sim.recallCall({ url, secret: 'not-a-secret' })).rejects.toThrow('whsec_')
})
