import { describe, expect, test } from 'vitest'
import { api, exchange, hostileApp, MARK, type Row } from '../helpers/hostile.ts'
import { newTenantWithKey } from '../helpers/management.ts'

const h = await hostileApp()
const { t } = h
for (const name of ['one', 'two', 'three']) await t.api('POST', '/v1/tenants', { body: { name } })
const cursorOf = async (list: string) => String((await t.api('GET', `/v1/${list}?limit=1`)).json().next_cursor)
const cursor = await cursorOf('tenants')
const flipped = (at: number) => {
  const bytes = Buffer.from(cursor, 'base64url')
  bytes[at] = (bytes[at] as number) ^ 1
  return bytes.toString('base64url')
}
const page = (query: string) => () => api('GET', `/v1/tenants?${query}`)
const cursors = (texts: [string, string][]): Row[] => texts.map(([name, text]) => [name, page(`cursor=${text}`), 400])

describe('a cursor that this list did not give is 400:', () => {
  h.table([
    ...cursors([
      ['#148 random', 'A'.repeat(70)],
      ['#148 cut at its start', cursor.slice(1)],
      ['#148 cut at its end', cursor.slice(0, -2)],
      ['#148 longer', `${cursor}AAAA`],
      ['#148 a bit of its seal flipped', flipped(0)],
      ['#148 a bit of its position flipped', flipped(20)],
      ['#148 the seal alone', Buffer.from(cursor, 'base64url').subarray(0, 16).toString('base64url')],
      ['#148 base64 of JSON', Buffer.from('{"id":"1","v":1}').toString('base64url')],
      ['#148 the alphabet of base64', `${cursor.slice(0, -1)}%2F`],
      ['#148 padded', `${cursor}%3D`],
      ['#148 10 KiB', MARK.repeat(800)],
      ['#148 1,900 characters', 'A'.repeat(1900)],
      ['#148 a NUL', '%00'],
      ['#148 SQL', "'%20OR%201=1--"],
      ['#148 twice', `${cursor}&cursor=${cursor}`],
    ]),
    ['#148 another list’s', () => api('GET', `/v1/zoom-apps?cursor=${cursor}`), 400],
    ['#148 with another filter', () => api('GET', `/v1/mints?kind=join&cursor=${cursor}`), 400],
    ['#148 empty, which is none', page('cursor='), 200],
    ['#148 the right one', page(`cursor=${cursor}`), 200],
  ])
})

describe('a limit that is no whole number from 1 to 200 is 400:', () => {
  const limits = ['0', '-1', '201', '1e9', '1.5', '%EF%BC%90', '', '0x10', '+5', '%205', '5%0A', '5&limit=6', 'NaN']
  h.table([
    ...limits.map((limit): Row => [`#149 ${limit || 'empty'}`, page(`limit=${limit}`), 400]),
    ['#149 1', page('limit=1'), 200],
    ['#149 200', page('limit=200'), 200],
    ['#149 007', page('limit=007'), 200],
  ])
})

describe('a filter or an order that the list does not offer changes nothing:', () => {
  h.table([
    ['#151 an unknown filter', page('client_secret=x'), 200],
    ['#151 an unknown order', page('sort=secret_hash&order=asc'), 200],
    ['#151 an order that hosts do not have', () => api('GET', '/v1/hosts?sort=secret_hash'), 400],
    ['#151 SQL for an order', () => api('GET', '/v1/hosts?sort=id;DROP%20TABLE%20hosts'), 400],
    ['#151 an operator for a filter’s value', () => api('GET', '/v1/hosts?email[$ne]=x'), 200],
    ['#151 a wildcard for a filter’s value', () => api('GET', '/v1/hosts?email=%25'), 200],
  ])
})

test('#148 a cursor of another tenant’s list is 400', async () => {
  const [mine, theirs] = [await newTenantWithKey(t), await newTenantWithKey(t)]
  for (const { call } of [mine, mine, theirs]) await call('POST', '/v1/passes', { meeting: '111111111' })
  const { next_cursor } = (await mine.call('GET', '/v1/passes?limit=1')).json()
  const as = async (who: typeof mine) => (await who.call('GET', `/v1/passes?cursor=${next_cursor}`)).statusCode
  expect([await as(mine), await as(theirs)]).toEqual([200, 400])
})

test('#150 rows that come while somebody pages make no row appear twice, and none of the old ones is left out', async () => {
  const { call } = await newTenantWithKey(t)
  const add = async () => (await call('POST', '/v1/passes', { meeting: '111111111' })).json().id as string
  const old = [await add(), await add(), await add(), await add(), await add()]
  const seen: string[] = []
  let next = ''
  do {
    const { data, next_cursor } = (await call('GET', `/v1/passes?limit=2&cursor=${next}`)).json()
    seen.push(...data.map(({ id }: { id: string }) => id))
    next = next_cursor ?? ''
    if (seen.length < 5) await add()
  } while (next !== '')
  expect(new Set(seen).size).toBe(seen.length)
  expect(old.filter((id) => !seen.includes(id))).toEqual([])
})

test('#151 a wildcard or an operator in a filter matches no row that is not so called', async () => {
  for (const query of ['email=%25', 'external_user_id=%25', 'external_user_id=_', 'zoom_user_id=.*']) {
    const answer = await exchange(h.port, api('GET', `/v1/hosts?${query}`))
    expect([query, JSON.parse(answer.body).data]).toEqual([query, []])
  }
})
h.counted(3)
