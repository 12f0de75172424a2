import { describe, expect, test } from 'vitest'
import { api, hostileApp, http, KEY_LINE, MARK, type Row } from '../helpers/hostile.ts'

const h = await hostileApp()
const { bot } = h
const list = (query: string) => http(`GET /v1/hosts${query}`, [KEY_LINE])
const signed = (query: string) => () => bot().replace(/\?pass=[^ ]*/, query)
const instead = (pass: string) => signed(`?pass=${pass}`)

describe('a query that cannot be read, or read in two ways, is 400:', () => {
  h.table([
    ['#64 the pass twice', () => bot({ query: `&pass=${h.pass}` }), 400],
    ['#64 the meeting twice', () => bot({ query: `&meeting_id=${h.host.meeting}&meeting_id=${h.host.meeting}` }), 400],
    ['#64 a filter twice', () => list('?external_user_id=a&external_user_id=b'), 400],
    ['#65 %zz in the pass', instead('%zz'), 400],
    ['#65 %E0%A4%A in the pass', instead('%E0%A4%A'), 400],
    ['#65 %zz in a filter', () => list(`?external_user_id=${MARK}%zz`), 400],
    ['#65 %E0%A4%A in a filter', () => list(`?external_user_id=${MARK}%E0%A4%A`), 400],
    ['#66 %00 in the pass', () => bot({ query: '%00' }), 400],
    ['#66 %00 in a filter', () => list('?external_user_id=%00'), 400],
    ['#71 3,000 keys', () => list(`?${Array.from({ length: 3000 }, (_, index) => `k${index}=1`).join('&')}`), 431],
    ['#71 500 keys', () => list(`?${Array.from({ length: 500 }, (_, index) => `k${index}=1`).join('&')}`), 400],
    ['#72 a key of 10 KiB', () => list(`?${'k'.repeat(10_240)}=1`), 400],
    ['#72 a value of 10 KiB', () => list(`?external_user_id=${'v'.repeat(10_240)}`), 400],
    ['#72 a pass of 10 KiB', instead('p'.repeat(10_240)), 400],
  ])
})

describe('parameters that nobody declared are ignored, never merged with one that is:', () => {
  h.table([
    ['#67 meeting_id[]=1', () => bot({ query: '&meeting_id[]=1' }), 200],
    ['#67 meeting_id[a]=1', () => bot({ query: '&meeting_id[a]=1' }), 200],
    ['#67 meeting_id.a=1', () => bot({ query: '&meeting_id.a=1' }), 200],
    ['#67 pass[]= in place of the pass', () => signed(`?pass[]=${h.pass}`)(), 401],
    ['#67 __proto__[pass]=', () => signed(`?__proto__[pass]=${h.pass}&__proto__=1`)(), 401],
    ['#68 utm_source on a bot route', () => bot({ query: '&utm_source=x' }), 200],
    ['#68 utm_source on a list', () => list('?utm_source=x'), 200],
    ['#75 user_id on a bot route', () => bot({ query: '&user_id=somebody' }), 200],
    ['#75 type=zak on a bot route', () => bot({ query: '&type=zak&ttl=9999' }), 200],
    ['#75 the meeting_id of another meeting', () => bot({ query: '&meeting_id=111111111' }), 403],
    ['#75 the meeting_id of the pass', () => bot({ query: `&meeting_id=${h.host.meeting}` }), 200],
  ])
})

/** The pass with its first letter written in another way. */
const encodedPass = () => `%${h.pass.charCodeAt(0).toString(16)}${h.pass.slice(1)}`

describe('a pass is decoded once and then compared:', () => {
  h.table([
    ['#69 %20 after it', () => bot({ query: '%20' }), 400],
    ['#69 + after it', () => bot({ query: '+' }), 400],
    ['#69 %2B after it', () => bot({ query: '%2B' }), 401],
    ['#69 encoded once', () => instead(encodedPass())(), 200],
    ['#69 encoded twice', () => instead(encodedPass().replace('%', '%25'))(), 401],
    ['#70 ; for &', () => bot({ query: ';meeting_id=111111111' }), 401],
    ['#73 ? alone', signed('?'), 401],
    ['#73 ?&&&', signed('?&&&'), 401],
    ['#73 ?=x', signed('?=x'), 401],
    ['#73 ?&&& on a list', () => list('?&&&'), 200],
  ])
})

describe('what looks like code in a pass opens nothing:', () => {
  const texts: [string, number][] = [
    ["' OR 1=1--", 400],
    ["'OR'1'='1", 401],
    ["';DROP TABLE passes;--", 400],
    ['{"$ne":null}', 401],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what an attacker would send, as it stands
    ['${7*7}{{7*7}}', 401],
    ['../../../etc/passwd', 401],
    ['\r\nSet-Cookie: a=b', 400],
  ]
  h.table(
    texts.map(([text, status]): Row => {
      return [`#76 ${JSON.stringify(text)}`, () => instead(encodeURIComponent(text) + MARK)(), status]
    }),
  )
})

test('#74 a parameter in the query of a route that takes a body counts for nothing', async () => {
  const made = await h.judge(api('POST', '/v1/passes?meeting=111111111&kinds=zak', { meeting: '222222222' }), 201)
  expect(JSON.parse(made.body)).toMatchObject({ meeting_id: '222222222', kinds: ['join', 'obf'] })
})

test('#74 a bot’s GET with a body is 400, whatever the body says, and its connection is closed', async () => {
  const body = JSON.stringify({ pass: h.pass, meeting_id: h.host.meeting })
  const lines = [`Content-Length: ${body.length}`, 'Content-Type: application/json']
  const answer = await h.judge(bot({ lines }) + body, 400)
  expect(answer.head).toContain('connection: close')
})
h.counted(2)
