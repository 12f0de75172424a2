import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { OPERATOR_KEY, startTestApp, type TestApp } from '../helpers/app.ts'
import { outcomeOf } from '../helpers/management.ts'
import { type ApiRoute, apiRoutes, pathWith } from '../helpers/routes.ts'

const DEFAULT_TENANT = '00000000-0000-7000-8000-000000000001'
const MARK = 'repeat-me-not'
let t: TestApp
let withBody: ApiRoute[]

beforeAll(async () => {
  t = await startTestApp()
  withBody = apiRoutes(t).filter(({ hasBody }) => hasBody)
})
afterAll(() => t.stop())

const VALUES = {
  id: DEFAULT_TENANT,
  key_id: DEFAULT_TENANT,
  workspace_id: DEFAULT_TENANT,
  delivery_id: DEFAULT_TENANT,
  meeting_id: '111111111',
}
const send = (route: ApiRoute, payload: string | Buffer, contentType: string | null = 'application/json') =>
  t.app.inject({
    method: route.method,
    url: pathWith(route.path, VALUES),
    headers: { authorization: `Bearer ${OPERATOR_KEY}`, ...(contentType ? { 'content-type': contentType } : {}) },
    payload,
  })

/** Sends one thing to every route that takes a body; gives those that did not answer as they should. */
async function wrongAnswers(payload: string | Buffer, expected: number[], contentType?: string | null) {
  const wrong: string[] = []
  for (const route of withBody) {
    const answer = await send(route, payload, contentType)
    const isRight = expected.includes(answer.statusCode) && !answer.body.includes(MARK)
    if (!isRight) wrong.push(`${route.method} ${route.path}: ${answer.statusCode} ${answer.body.slice(0, 200)}`)
  }
  return wrong
}

describe('a body on every route that takes one', () => {
  const notObjects = ['', 'null', '[]', '"x"', '1', 'true', '{', "{'a':1}", '{"a":1,}', 'NaN', '[[[[]]]]', '\ufeff']
  for (const payload of notObjects)
    test(`that is no object is refused: ${JSON.stringify(payload)}`, async () => {
      expect(await wrongAnswers(payload, [400])).toEqual([])
    })

  test('that is not there says as much as an empty one', async () => {
    const withoutRequestId = (text: string) => text.replace(/"request_id":"[^"]*"/, '')
    const different: string[] = []
    for (const route of withBody) {
      const url = pathWith(route.path, VALUES)
      const ask = (more: object) =>
        t.app.inject({ method: route.method, url, headers: { authorization: `Bearer ${OPERATOR_KEY}` }, ...more })
      const [absent, empty] = [await ask({}), await ask({ payload: {} })]
      if (withoutRequestId(absent.body) !== withoutRequestId(empty.body))
        different.push(`${route.method} ${route.path}`)
    }
    expect(different).toEqual([])
  })

  test('with fields that are not of the route is refused, also those that only the service may set', async () => {
    for (const name of ['unknown', 'tenant_id', 'id', 'status', 'created_at', 'gen', 'toString', 'hasOwnProperty'])
      expect(await wrongAnswers(JSON.stringify({ [name]: MARK }), [400])).toEqual([])
    const valid: [string, Record<string, unknown>][] = [
      ['tenants', { name: 'x' }],
      [`tenants/${DEFAULT_TENANT}/api-keys`, { name: 'x' }],
      ['zoom-apps', { client_id: 'x', client_secret: 'x', kind: 'account' }],
      ['passes', { meeting: '111111111' }],
      ['connect-sessions', { external_user_id: 'alice' }],
      ['meetings/batch', { meetings: [] }],
    ]
    for (const [path, body] of valid) {
      const answer = await t.api('POST', `/v1/${path}`, { body: { ...body, unknown: MARK } })
      expect([path, ...outcomeOf(answer)]).toEqual([path, 400, 'invalid_request'])
    }
    expect(await wrongAnswers('{"__proto__":{"admin":true}}', [400])).toEqual([])
    expect(await wrongAnswers('{"constructor":{"prototype":{"admin":true}}}', [400])).toEqual([])
  })

  test('of another content type is refused, JSON inside or not', async () => {
    const types = [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/xml',
      'multipart/form-data; boundary=x',
    ]
    for (const type of [...types, 'application/octet-stream', 'application/merge-patch+json'])
      expect(await wrongAnswers('{"name":"x"}', [415], type)).toEqual([])
    expect(await wrongAnswers('{"name":"x"}', [400, 415], null)).toEqual([])
  })

  test('that is larger than any route takes is refused', async () => {
    expect(await wrongAnswers(JSON.stringify({ name: 'x'.repeat(600 * 1024) }), [413])).toEqual([])
  })

  test('nested without end is refused at once', async () => {
    const start = performance.now()
    expect(await wrongAnswers(`{"a":${'['.repeat(7000)}${']'.repeat(7000)}}`, [400, 413])).toEqual([])
    expect((performance.now() - start) / withBody.length).toBeLessThan(1000)
  })
})

describe('a text in a body', () => {
  const create = (name: unknown) => t.api('POST', '/v1/tenants', { body: { name } })

  test('with control characters, lone surrogates or nothing but spaces is refused', async () => {
    for (const name of ['a\u0000b', 'a\nb', '\u0007', '   ', '', 'x'.repeat(201)])
      expect(outcomeOf(await create(name))).toEqual([400, 'invalid_request'])
    const [route] = withBody.filter(({ method, path }) => method === 'POST' && path === '/v1/tenants')
    for (const name of ['\\ud800', '\\udc00x', 'a\\u0000'])
      expect((await send(route as ApiRoute, `{"name":"${name}"}`)).statusCode).toBe(400)
  })

  test('of any script and shape is stored exactly as it came', async () => {
    const names = ['Zoë 💚', '‮right to left', '日本語', 'a'.repeat(200), "'; DROP TABLE tenants; --", '{{7*7}}<script>']
    for (const name of [...names, 'n\u0303 and ñ']) expect((await create(name)).json().name).toBe(name)
  })

  test('of the wrong type is refused, never converted', async () => {
    for (const name of [1, true, null, {}, ['x'], { toString: 'x' }])
      expect(outcomeOf(await create(name))).toEqual([400, 'invalid_request'])
    const passes = [
      { meeting: 85996249517 },
      { meeting: '111111111', kinds: 'join' },
      { meeting: '111111111', kinds: {} },
      { meeting: ['111111111'] },
      { meeting: '111111111', join_at: 5 },
    ]
    for (const body of passes)
      expect(outcomeOf(await t.api('POST', '/v1/passes', { body }))).toEqual([400, 'invalid_request'])
  })
})

describe('an id in a path', () => {
  const ids = [
    '1',
    'null',
    'undefined',
    '..%2F..%2Fx',
    "'%20OR%201=1--",
    '%00',
    '%E0%A4%A',
    '1'.repeat(90),
    `${DEFAULT_TENANT}x`,
  ]
  for (const id of ids)
    test(`that is none is refused and not repeated: ${id.slice(0, 20)}`, async () => {
      for (const path of ['hosts', 'organizations', 'passes', 'tenants', 'zoom-apps', 'meetings']) {
        const answer = await t.api('GET', `/v1/${path}/${id}${MARK}`)
        expect([path, answer.statusCode, answer.body.includes(MARK)]).toEqual([path, 400, false])
      }
    })
})

describe('a query', () => {
  const lists = ['hosts', 'organizations', 'meetings', 'passes', 'mints', 'tenants', 'zoom-apps']

  test('with a limit that is not a whole number from 1 to 200 is refused on every list', async () => {
    for (const list of lists)
      for (const limit of ['0', '-1', '201', '1e9', '1.5', '%EF%BC%90', '', '1&limit=2', '0x10', '%201'])
        expect([list, limit, ...outcomeOf(await t.api('GET', `/v1/${list}?limit=${limit}`))]).toEqual([
          list,
          limit,
          400,
          'invalid_request',
        ])
  })

  test('with a cursor that this list did not give is refused; an empty one is none', async () => {
    await t.api('POST', '/v1/tenants', { body: { name: 'one' } })
    await t.api('POST', '/v1/tenants', { body: { name: 'two' } })
    const { next_cursor: cursor } = (await t.api('GET', '/v1/tenants?limit=1')).json()
    const flipped = cursor.slice(0, -1) + (cursor.endsWith('A') ? 'B' : 'A')
    const json = Buffer.from('{"id":1}').toString('base64url')
    const bad = [cursor.slice(1), cursor.slice(0, -2), flipped, `${cursor}A`, json, 'x', 'A'.repeat(900), '%00', "'"]
    for (const each of [...bad, 'A'.repeat(9000)]) {
      const answer = await t.api('GET', `/v1/tenants?cursor=${each}`)
      expect(outcomeOf(answer)).toEqual([400, 'invalid_request'])
    }
    for (const list of lists.filter((each) => each !== 'tenants'))
      expect(outcomeOf(await t.api('GET', `/v1/${list}?cursor=${cursor}`))).toEqual([400, 'invalid_request'])
    expect((await t.api('GET', '/v1/tenants?cursor=')).statusCode).toBe(200)
  })

  test('with a cursor of another tenant’s list is refused', async () => {
    const tenants = await Promise.all(['a', 'b'].map((name) => t.api('POST', '/v1/tenants', { body: { name } })))
    const [first, second] = tenants.map((answer) => ({ 'latchkey-tenant': String(answer.json().id) }))
    for (const headers of [first, first, second])
      await t.api('POST', '/v1/passes', { body: { meeting: '111111111' }, headers: headers as never })
    const { next_cursor } = (await t.api('GET', '/v1/passes?limit=1', { headers: first as never })).json()
    const list = (headers: unknown) => t.api('GET', `/v1/passes?cursor=${next_cursor}`, { headers: headers as never })
    expect([(await list(first)).statusCode, outcomeOf(await list(second))]).toEqual([200, [400, 'invalid_request']])
  })

  test('with parameters it does not know is answered as without them', async () => {
    expect((await t.api('GET', '/v1/hosts?utm_source=x&a[]=1&a[b]=2&order=asc')).statusCode).toBe(200)
  })
})
