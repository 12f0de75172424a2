import { describe, expect, test } from 'vitest'
import { api, exchange, hostileApp, http, KEY_LINE, type Row } from '../helpers/hostile.ts'

const h = await hostileApp()
const { bot } = h
const typed = (type: string) => () => api('POST', '/v1/tenants', { name: 'n' }, [`Content-Type: ${type}`])
const untyped = () => {
  const body = '{"name":"n"}'
  return http('POST /v1/tenants', [KEY_LINE, `Content-Length: ${body.length}`], body)
}
const bodied = (method: string, path: string, body = '{"a":1}') => api(method, path, body)

describe('a body of a type other than JSON is not read, whatever is in it:', () => {
  const types = [
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/merge-patch+json',
    'application/json-patch+json',
    'application/octet-stream',
    'application/jsonp',
    'application/json2',
    'json',
    '*/*',
    'application/json, text/plain',
    'text/plain, application/json',
    '"application/json"',
  ]
  h.table([
    ['#152 none', untyped, 415],
    ['#152 empty', typed(''), 415],
    ...types.map((type): Row => [`#152 ${type}`, typed(type), 415]),
    ['#153 text/plain', typed('text/plain'), 415],
    ['#153 text/plain with a charset', typed('text/plain; charset=utf-8'), 415],
    ['#153 text/json', typed('text/json'), 415],
  ])
})

describe('JSON is known however its type is written, and is then checked:', () => {
  const badly = (type: string) => () => api('POST', '/v1/tenants', { name: 5 }, [`Content-Type: ${type}`])
  const types = ['  application/json', 'application/json ', 'APPLICATION/JSON', 'application/json; charset=utf-8']
  h.table(
    [...types, 'application/json;charset=UTF-16', 'application/json ; x=y'].flatMap((type): Row[] => [
      [`#154 #155 ${JSON.stringify(type)}`, typed(type), 201],
      [`#154 #155 ${JSON.stringify(type)}, of a wrong shape`, badly(type), 400],
    ]),
  )
})

describe('a body where none belongs does nothing:', () => {
  const id = '01890000-0000-7000-8000-000000000000'
  h.table([
    ['#156 GET of a list', () => bodied('GET', '/v1/hosts'), 200],
    ['#156 GET of a list, not JSON', () => bodied('GET', '/v1/hosts', 'GET / HTTP/1.1\r\n\r\n'), 200],
    ['#156 GET of a token', () => bot({ lines: ['Content-Length: 5'] }), 400],
    ['#156 GET of a token, in chunks', () => `${bot({ lines: ['Transfer-Encoding: chunked'] })}0\r\n\r\n`, 400],
    ['#156 GET of a token, of no length', () => bot({ lines: ['Content-Length: 0'] }), 200],
    ['#157 DELETE', () => bodied('DELETE', `/v1/passes/${id}`), 404],
    ['#157 DELETE, not JSON', () => bodied('DELETE', `/v1/passes/${id}`, '{'), 400],
  ])
})

describe('a method that a path does not take is 405, and one that nobody knows 400:', () => {
  const on = (method: string) => () => http(`${method} /v1/hosts`, [KEY_LINE])
  const methods = ['TRACE', 'PROPFIND', 'QUERY', 'OPTIONS', 'HEAD', 'PATCH', 'LOCK', 'PURGE', 'M-SEARCH', 'LINK']
  h.table([
    ...methods.map((method): Row => [`#158 ${method}`, on(method), 405]),
    ...['FOO', 'get', 'Get', 'G ET', 'GET\t', ''].map(
      (method): Row => [`#158 ${JSON.stringify(method)}`, on(method), 400],
    ),
    ['#158 CONNECT to elsewhere', () => http('CONNECT evil.example:443', [KEY_LINE]), 400],
    ['#158 CONNECT to a path', () => http('CONNECT /v1/hosts', [KEY_LINE]), 400],
    ['#158 OPTIONS *', () => http('OPTIONS *', [KEY_LINE]), 404],
    ['#158 DELETE on a bot route', () => bot().replace('GET', 'DELETE'), 405],
    ['#158 POST on a bot route', () => bot({ lines: ['Content-Length: 0'] }).replace('GET', 'POST'), 405],
    ['#158 GET on a route of POST', () => http('GET /zoom/webhook'), 405],
    ['#159 HEAD on a bot route', () => bot().replace('GET', 'HEAD'), 405],
    ['#159 HEAD on the connect link', () => http('HEAD /zoom/oauth?session=x'), 405],
    ['#159 HEAD on the callback', () => http('HEAD /zoom/oauth/callback?code=x'), 405],
  ])
})

test('#155 a charset of another name is not obeyed: the bytes are UTF-8', async () => {
  const body = '{"name":"Zoë"}'
  const answer = await exchange(
    h.port,
    api('POST', '/v1/tenants', body, ['Content-Type: application/json; charset=latin1']),
  )
  expect(JSON.parse(answer.body).name).toBe('Zoë')
})

test('#154 no Content-Type at all is no way around the check of a body', async () => {
  for (const type of ['', ';', ' ; charset=utf-8', 'application'])
    expect((await exchange(h.port, typed(type)())).status).toBe(415)
})
h.counted(2)
