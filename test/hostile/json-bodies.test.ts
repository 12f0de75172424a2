import { describe, expect, test } from 'vitest'
import { api, exchange, hostileApp, http, JSON_LINE, KEY_LINE, MARK, type Row } from '../helpers/hostile.ts'

const h = await hostileApp()
const { t } = h
const create = (body: unknown) => () => api('POST', '/v1/tenants', body)
const pass = (body: unknown) => () => api('POST', '/v1/passes', body)
const all = (number: number, bodies: unknown[], status = 400): Row[] =>
  bodies.map((body) => [`#${number} ${String(JSON.stringify(body)).slice(0, 60)}`, create(body), status])
const LIMIT = 16 * 1024
const sized = (bytes: number) => `{"name":"n"${' '.repeat(bytes - 12)}}`
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
const chunked = (chunks: string) =>
  http('POST /v1/tenants', [KEY_LINE, JSON_LINE, 'Transfer-Encoding: chunked']) + chunks

describe('a body that is not the object it should be is 400:', () => {
  h.table([
    ...all(131, ['', ' ']),
    ...all(132, ['null', '[]', '"x"', '1', 'true']),
    ...all(133, [
      { toString: 1, hasOwnProperty: 1, valueOf: 1 },
      { name: 'n', toString: 1 },
    ]),
    ...all(134, ['{"name":NaN}', '{"name":"n"}//x', '/**/{"name":"n"}', '{"name":"n",}', "{'name':'n'}", '{name:"n"}']),
    ...all(134, ['{"name":"n"}{"name":"n"}', '{"name":"n"', '{"name":"a\nb"}', '{"name":"\\x41"}', '{"name":"n"}\0']),
    ...all(135, ['{"name":"a\\u0000b"}', '{"name":"\\ud800"}']),
    ...all(136, [{ name: 5 }, { name: {} }, { name: ['n'] }, { name: null }, { name: true }]),
    ...all(144, [
      { name: 'n', id: MARK },
      { name: 'n', tenant_id: MARK },
      { name: 'n', created_at: MARK },
    ]),
    ...all(144, [{ name: 'n', status: MARK }, { name: 'n', gen: 5 }, '{"name":"n","__proto__":{"admin":true}}']),
    ['#136 a number for a number’s text', pass({ meeting: 85996249517 }), 400],
    [
      '#136 text for a number',
      () => api('POST', '/v1/connect-sessions', { external_user_id: 'u', expires_in_seconds: '600' }),
      400,
    ],
    [
      '#136 a fraction for a whole number',
      () => api('POST', '/v1/connect-sessions', { external_user_id: 'u', expires_in_seconds: 600.5 }),
      400,
    ],
    [
      '#136 1e400 for a number',
      () => api('POST', '/v1/connect-sessions', '{"external_user_id":"u","expires_in_seconds":1e400}'),
      400,
    ],
    ['#141 longer than its field', create({ name: 'x'.repeat(201) }), 400],
    ['#141 spaces alone', create({ name: ' \u00a0\u2003' }), 400],
    ['#143 an array of 10,000', pass({ meeting: '111111111', kinds: Array(1500).fill('join') }), 400],
    [
      '#143 an array of 10,000 rows',
      () => api('POST', '/v1/meetings/batch', { meetings: Array(10_000).fill({ meeting_id: '1' }) }),
      400,
    ],
  ])
})

describe('a body beyond its bounds is refused before it is all there, and its connection closed:', () => {
  h.table([
    ['#139 exactly the limit', create(sized(LIMIT)), 201],
    ['#139 one byte more', create(sized(LIMIT + 1)), 413],
    ['#139 1 MiB', create(sized(1024 * 1024)), 413],
    [
      '#139 1 GiB that is announced and does not come',
      () => http('POST /v1/tenants', [KEY_LINE, JSON_LINE, `Content-Length: ${1024 ** 3}`]),
      413,
    ],
    ['#139 chunks that go on beyond the limit', () => chunked(chunk('x'.repeat(LIMIT)) + chunk('x')), 413],
    ['#139 a chunk of 1 GiB', () => chunked(`40000000\r\n${'x'.repeat(LIMIT + 1)}`), 413],
    ['#139 chunks within the limit', () => chunked(`${chunk('{"name":')}${chunk('"n"}')}0\r\n\r\n`), 201],
    ['#138 7,000 arrays in each other', create(`{"a":${'['.repeat(7000)}${']'.repeat(7000)}}`), 400],
    ['#138 500,000 arrays in each other', create('['.repeat(500_000)), 413],
    ['#143 numbers of 10,000 digits', create(`{"name":${'9'.repeat(10_000)}}`), 400],
  ])
})

describe('bytes are read as UTF-8 and as nothing else:', () => {
  const bytes = (body: Buffer) => () =>
    Buffer.concat([
      Buffer.from(http('POST /v1/tenants', [KEY_LINE, JSON_LINE, `Content-Length: ${body.length}`])),
      body,
    ])
  h.table([
    ['#140 a byte order mark before it is skipped', create('\ufeff{"name":"n"}'), 201],
    ['#140 UTF-16', bytes(Buffer.from('\ufeff{"name":"n"}', 'utf16le')), 400],
    ['#140 a byte that is none of UTF-8', bytes(Buffer.from('{"name":"\xff"}', 'latin1')), 400],
    ['#140 an overlong slash', bytes(Buffer.from('{"name":"\xc0\xaf"}', 'latin1')), 400],
    ['#140 a lone surrogate', bytes(Buffer.from('{"name":"\xed\xa0\x80"}', 'latin1')), 400],
  ])
})

describe('a text is stored exactly as it came:', () => {
  const texts: [number, string][] = [
    [141, '\u202eright to left'],
    [141, '💚👩‍👩‍👧'],
    [141, 'e\u0301'.repeat(100)],
    [142, '\u00f1'],
    [142, 'n\u0303'],
    [145, "Robert'); DROP TABLE tenants;--"],
    [145, '*)(uid=*))(|(uid=*'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what an attacker would send, as it stands
    [145, '${7*7} {{7*7}} <%= 7*7 %> #{7*7} %s %n'],
    [145, '../../etc/passwd'],
    [145, '=HYPERLINK("https://evil.example")'],
    [146, '<script>alert(1)</script>'],
  ]
  test.each(texts)('#%i %s', async (_, name) => {
    const made = JSON.parse((await exchange(h.port, create({ name })())).body)
    expect(made.name).toBe(name)
    expect((await t.api('GET', `/v1/tenants/${made.id}`)).json().name).toBe(name)
  })
  h.counted(texts.length)
})

test('#137 of two fields with one name the last counts', async () => {
  const made = await h.judge(create('{"name":"first","name":"last"}')(), 201)
  expect(JSON.parse(made.body).name).toBe('last')
})

test('#142 names that only look the same are two users', async () => {
  t.zoom.addUser({ email: 'n@example.com' })
  await t.connectHost('\u00f1', 'n@example.com')
  const found = async (name: string) =>
    (await t.api('GET', `/v1/hosts?external_user_id=${encodeURIComponent(name)}`)).json().data.length
  expect([await found('\u00f1'), await found('n\u0303')]).toEqual([1, 0])
})
h.counted(2)
