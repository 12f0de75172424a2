import { connect } from 'node:net'
import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildTestApp, OPERATOR_KEY, startTestApp, type TestApp } from '../helpers/app.ts'
import { HOST, newTenant, RETURN_URL, readyToReturn } from '../helpers/connect.ts'

type Headers = Record<string, unknown>

/** What @fastify/helmet sends by default, less what is set once for all answers, and what it does not know. */
const OF_PAGES = {
  'content-security-policy': expect.stringMatching(
    /^default-src 'none'; style-src 'sha256-[^ ']+'; frame-ancestors 'none'/,
  ),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'permissions-policy': expect.stringContaining('camera=()'),
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
  'cache-control': 'no-store',
}

describe('a page of the connect flow', () => {
  test('has every header that helmet sends, when it succeeds and when it fails', async () => {
    const t = await buildTestApp()
    const { headers } = await newTenant(t, { name: 'Acme' })
    const connected = await t.follow(await t.connectLink({ external_user_id: 'u' }, headers), HOST)
    const failed = await t.app.inject({ url: '/zoom/oauth?session=unknown' })
    const unread = await t.app.inject({ url: '/zoom/oauth?session=a&session=b' })
    expect([connected.statusCode, failed.statusCode, unread.statusCode]).toEqual([200, 400, 400])
    for (const page of [connected, failed, unread]) expect(page.headers).toMatchObject(OF_PAGES)
  })

  test('that is refused before its own rules are reached may be framed and may load as little', async () => {
    const t = await buildTestApp()
    const page = await t.app.inject({ url: `/zoom/oauth?session=${'a'.repeat(2100)}` })
    expect([page.statusCode, page.headers['content-type']]).toEqual([400, 'text/html; charset=utf-8'])
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; frame-ancestors 'none'/)
    expect(page.headers['x-content-type-options']).toBe('nosniff')
  })

  test('has an opener policy, a redirect has none: the window that opened the link sees it come back', async () => {
    const t = await buildTestApp()
    const { opened } = await t.open(await t.connectLink({ external_user_id: 'u' }))
    const { comeBack } = await readyToReturn(t, { return_url: RETURN_URL })
    for (const redirect of [opened, await comeBack()]) {
      expect(redirect.statusCode).toBe(302)
      expect(redirect.headers).not.toHaveProperty('cross-origin-opener-policy')
      expect(redirect.headers).toMatchObject({ 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' })
    }
  })
})

describe('in production', () => {
  let t: TestApp
  let routes: { method: NonNullable<InjectOptions['method']>; url: string }[]

  beforeAll(async () => {
    const env = { NODE_ENV: 'production', PUBLIC_BASE_URL: 'https://bots.example.com', INSTALLATION_ID: 'tests' }
    t = await startTestApp({ env })
    const id = crypto.randomUUID()
    const known = [...t.app.knownRoutes].map(([path, methods]) => ({ url: path.replace(/:\w+|\*/g, id), methods }))
    routes = known.flatMap(({ url, methods }) =>
      [...methods].map((method) => ({ method, url }) as (typeof routes)[number]),
    )
    routes.push({ method: 'GET', url: '/nothing/here' }, { method: 'GET', url: '/v1/hosts/%zz' })
  })
  afterAll(() => t.stop())

  /** Every known route with every method it takes and those it refuses, as the API's owner and as a stranger. */
  async function failing(isGood: (headers: Headers) => boolean, sent: Record<string, string> = {}) {
    const failures: string[] = []
    for (const route of routes)
      for (const key of [{}, { authorization: `Bearer ${OPERATOR_KEY}` }]) {
        const { headers } = await t.app.inject({ ...route, headers: { ...sent, ...key } })
        if (!isGood(headers)) failures.push(`${route.method} ${route.url}`)
      }
    return failures
  }

  test('there are routes to look at', () => expect(routes.length).toBeGreaterThan(100))

  test('every answer says to come back by https only, and what a browser may not make of it', async () => {
    const isGood = (headers: Headers) =>
      headers['strict-transport-security'] === 'max-age=31536000' &&
      headers['x-content-type-options'] === 'nosniff' &&
      headers['referrer-policy'] === 'no-referrer' &&
      headers['cross-origin-resource-policy'] === 'same-origin' &&
      /^default-src 'none';.*frame-ancestors 'none'/.test(String(headers['content-security-policy']))
    expect(await failing(isGood)).toEqual([])
  })

  test('nor does what cannot be read as a request go without them', async () => {
    const port = Number(new URL(await t.app.listen({ port: 0, host: '127.0.0.1' })).port)
    const socket = connect(port, '127.0.0.1').setTimeout(5000, () => socket.destroy(new Error('no answer')))
    socket.write('NONSENSE / HTTP/1.1\r\nHost: a\r\n\r\n')
    let answer = ''
    for await (const chunk of socket) answer += chunk
    expect(answer).toContain('HTTP/1.1 400')
    expect(answer).toContain('strict-transport-security: max-age=31536000')
    expect(answer).toContain('x-content-type-options: nosniff')
  })

  test('no answer lets another origin read it, to a request from there or to its preflight', async () => {
    const isGood = (headers: Headers) => !Object.keys(headers).some((name) => name.startsWith('access-control-'))
    expect(await failing(isGood, { origin: 'https://evil.example' })).toEqual([])
    const preflights = await Promise.all(
      [...new Set(routes.map(({ url }) => url))].map((url) =>
        t.app.inject({
          method: 'OPTIONS',
          url,
          headers: {
            origin: 'https://evil.example',
            'access-control-request-method': 'POST',
            'access-control-request-headers': 'authorization, content-type',
          },
        }),
      ),
    )
    expect(preflights.filter(({ headers }) => !isGood(headers))).toEqual([])
    expect(preflights.filter(({ statusCode }) => statusCode < 400)).toEqual([])
  })
})
