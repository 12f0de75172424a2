import { describe, expect, test } from 'vitest'
import { rows } from '../helpers/connect.ts'
import { api, hostileApp, MARK, type Row } from '../helpers/hostile.ts'
import { newTenantWithKey } from '../helpers/management.ts'

const h = await hostileApp()
const { bot, t } = h
const ID = '85996249517'
const put = (id: string) => () => api('PUT', `/v1/meetings/${id}`, { external_user_id: h.host.externalUserId })
const check = (id: string) => () => bot({ query: `&meeting_id=${id}` })
const create = (meeting: string) => () => api('POST', '/v1/passes', { meeting })
/** As a path, as a bot's query, and as what people paste, all refused. */
const everywhere = (number: number, ids: string[]): Row[] =>
  ids.flatMap((id): Row[] => [
    [`#${number} ${JSON.stringify(id).slice(0, 40)} in the path`, put(encodeURIComponent(id)), 400],
    [`#${number} ${JSON.stringify(id).slice(0, 40)} in a bot’s query`, check(encodeURIComponent(id)), 400],
    [`#${number} ${JSON.stringify(id).slice(0, 40)} in a new pass`, create(id), 400],
  ])

describe('9 to 12 digits are a meeting, and stay the text they are:', () => {
  const ids = ['123456789', '1234567890', '12345678901', '123456789012', '0123456789']
  h.table(
    ids.flatMap((id): Row[] => [
      [`#77 ${id} in the path`, put(id), 200],
      [`#77 ${id} in a new pass`, create(id), 201],
      [`#77 ${id} in a bot’s query, which is of another meeting`, check(id), 403],
    ]),
  )
  test.each(ids)('#87 %s comes back as it went in', async (id) => {
    expect(JSON.parse((await h.judge(put(id)(), 200)).body).meeting_id).toBe(id)
    expect(JSON.parse((await h.judge(create(id)(), 201)).body).meeting_id).toBe(id)
  })
  h.counted(ids.length)
})

describe('what is no meeting number is 400 wherever it stands:', () => {
  h.table([
    ...everywhere(78, ['12345678', '1234567890123', '٨٥٩٩٦٢٤٩٥١٧', '８５９９６２４９５１７']),
    ...everywhere(79, [`+${ID}`, '-1', '1e9', '0x1400000000', '1_0', '1234567890.0']),
    ...everywhere(80, [`${ID}?type=zak`, `${ID}%3Ftype=zak`]),
    ...everywhere(81, [`${ID}#x`, `${ID}%23x`]),
    ...everywhere(82, [`${ID};x`, `${ID}&x=1`, `${ID}@evil.example`, `${ID}:80`, `${ID}/users/me`]),
    ...everywhere(83, [`${ID}\0`, `\0${ID}`, `${ID}\r\nX: y`]),
    ...everywhere(84, ['my/room', `https://zoom.us.evil.example/j/${ID}`, `https://evil.example/zoom.us/j/${ID}`]),
    ...everywhere(85, ['null', 'undefined', 'NaN', 'me', 'true', '[object Object]', '__proto__']),
    ...everywhere(89, ['9007199254740993', '18446744073709551616', `1${'0'.repeat(80)}`]),
    ...everywhere(91, ['../../users/me', 'a/../b', '..', `${ID}/..`]),
  ])
})

describe('a path that is no meeting number is refused before anything reaches Zoom:', () => {
  h.table([
    ['#79 a minus before a number', put(`-${ID}`), 400],
    ['#83 a line break after a number', put(`${ID}%0A`), 400],
    ['#79 a minus in a bot’s query', check(`-${ID}`), 400],
    ['#83 a line break in a bot’s query', check(`${ID}%0A`), 400],
    ['#80 ?type=zak after the number is a query, which is ignored', put(`${ID}?type=zak`), 200],
    ['#86 raw letters beyond ASCII', put('8599624951é'), 400],
    ['#86 a raw space', put('859 9624 9517'), 400],
    ['#88 hyphens', put('859-9624-9517'), 400],
    ['#88 encoded spaces', put('859%209624%209517'), 400],
    ['#90 ..', put('..'), 400],
    ['#90 %2e%2e', put('%2e%2e'), 400],
    ['#90 .%2e', put('.%2e'), 400],
    ['#90 %2E.', put('%2E.'), 400],
    ['#91 ../../users/me', put('../../users/me'), 404],
    ['#91 a%2F..%2Fb', put('a%2F..%2Fb'), 400],
    ['#92 %252e%252e%252f', put('%252e%252e%252f'), 400],
    ['#93 100 characters', put(MARK.repeat(8).slice(0, 100)), 400],
    ['#93 101 characters', put(MARK.repeat(8).slice(0, 101)), 400],
    ['#93 1,900 characters', put(MARK.repeat(146)), 400],
    ['#93 4,000 characters', put(MARK.repeat(300)), 400],
    ['#98 %zz', put(`${MARK}%zz`), 400],
  ])
})

describe('a path is exactly the one that is written, but for a slash at its end:', () => {
  const at = (path: string) => () => bot({ path })
  h.table([
    ['#97 //zoom/join-token', at('//zoom/join-token'), 404],
    ['#97 /zoom//join-token', at('/zoom//join-token'), 404],
    ['#97 /ZOOM/join-token', at('/ZOOM/join-token'), 404],
    ['#97 /zoom/Join-Token', at('/zoom/Join-Token'), 404],
    ['#97 /zoom/join-token;y', at('/zoom/join-token;y'), 404],
    ['#97 /\\zoom/join-token', at('/\\zoom/join-token'), 404],
    ['#97 /zoom/join%2Dtoken, the same letters', at('/zoom/join%2Dtoken'), 200],
    ['#97 /zoom/./join-token', at('/zoom/./join-token'), 404],
    ['#97 /v1/../zoom/join-token', at('/v1/../zoom/join-token'), 404],
    ['#97 /zoom/join-token/', at('/zoom/join-token/'), 200],
    ['#97 an absolute URL of another host', at('http://evil.example/zoom/join-token'), 200],
    ['#98 %zz in a path that nobody has', at(`/${MARK}%zz`), 400],
    ['#98 %ff in a path that nobody has', at(`/${MARK}%ff`), 400],
  ])
})

describe('on creation of a pass a number is taken as people write it:', () => {
  h.table([
    ['#88 spaces', create('859 9624 9517'), 201],
    ['#88 hyphens', create('859-9624-9517'), 201],
    ['#79 a hyphen before it', create(`-${ID}`), 201],
    ['#83 a line break after it', create(`${ID}\n`), 201],
  ])
})

test('#94 the password of a pasted link is in no answer, no log line and no row', async () => {
  const made = await h.judge(create(`https://zoom.us/j/${ID}?pwd=${MARK}`)(), 201)
  expect(JSON.parse(made.body).meeting_id).toBe(ID)
  expect(t.log.join('')).not.toContain(MARK)
  expect(await rows(t, 'SELECT FROM passes p WHERE p::text LIKE $1', [`%${MARK}%`])).toEqual([])
})

test('#95 two tenants may map one meeting number, each to a host of its own, and neither sees the other’s', async () => {
  const tenants = [await newTenantWithKey(t), await newTenantWithKey(t)]
  for (const { call } of tenants)
    expect((await call('PUT', `/v1/meetings/${ID}`, { external_user_id: 'u' })).statusCode).toBe(404)
  for (const { id, call } of tenants) {
    await t.connectHost('u', h.host.email, { 'latchkey-tenant': id })
    expect((await call('PUT', `/v1/meetings/${ID}`, { external_user_id: 'u' })).statusCode).toBe(200)
  }
  const [first, second] = await Promise.all(tenants.map(({ call }) => call('GET', `/v1/meetings/${ID}`)))
  expect(first?.json().host_id).not.toBe(second?.json().host_id)
})
h.counted(2)
