import { afterAll, describe, expect, test } from 'vitest'
import { startTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { dump } from '../helpers/dump.ts'
import { newTenantWithKey, outcomeOf, seedHost, unique } from '../helpers/management.ts'
import { deauthorization, userEvent, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET } })
afterAll(() => t.stop())

let numbers = 7_000_000_000

/** A tenant with a connected user whose personal link Zoom knows. */
async function withPersonalRoom(vanityHost = 'us02web.zoom.us') {
  const { headers } = await newTenant(t)
  const name = `room.${unique()}`
  const pmi = String(++numbers)
  const user = { externalUserId: `user-${unique()}`, email: `${unique()}@example.com` }
  t.zoom.addUser({ email: user.email, pmi, vanity_url: `https://${vanityHost}/my/${name}` })
  const host = await t.connectHost(user.externalUserId, user.email, headers)
  const create = (body: object) => t.api('POST', '/v1/passes', { headers, body })
  return { headers, name, pmi, host, create, ...user }
}
type Room = Awaited<ReturnType<typeof withPersonalRoom>>
const mappingOf = async ({ headers, pmi }: Room) => (await t.api('GET', `/v1/meetings/${pmi}`, { headers })).json()
const keptOf = async (hostId: string) => {
  const [row] = await rows(
    t,
    `SELECT g.id, pmi, personal_link_host AS host, personal_link_name AS name, zoom_user_id AS user, zoom_account_id AS account
       FROM grants g JOIN hosts h ON h.grant_id = g.id WHERE h.id = $1`,
    [hostId],
  )
  return row as Record<'id' | 'pmi' | 'host' | 'name' | 'user' | 'account', string>
}

describe('a personal link', () => {
  test('of a connected user is a pass for his own room, and the bot gets its token without a mapping made by hand', async () => {
    const room = await withPersonalRoom()
    const created = await room.create({ meeting: `https://zoom.us/my/${room.name.toUpperCase()}?pwd=abc` })
    expect(created.json()).toMatchObject({
      meeting_id: room.pmi,
      host: { id: room.host.id },
      warnings: expect.any(Array),
    })
    expect(await mappingOf(room)).toMatchObject({ host_id: room.host.id, source: 'lookup' })
    expect((await t.bot(created.json().join_token_url)).statusCode).toBe(200)
  })

  test('moves a pass to that room too, whose URLs stay', async () => {
    const room = await withPersonalRoom()
    const pass = (await room.create({ meeting: '123456789' })).json()
    const body = { meeting: `us02web.zoom.us/my/${room.name}` }
    const moved = await t.api('PATCH', `/v1/passes/${pass.id}`, { headers: room.headers, body })
    expect(moved.json()).toMatchObject({ meeting_id: room.pmi, host: { id: room.host.id } })
    expect((await t.bot(pass.join_token_url)).statusCode).toBe(200)
  })

  test('changes nothing that the tenant said of that meeting itself', async () => {
    const room = await withPersonalRoom()
    const meeting = `https://zoom.us/my/${room.name}`
    await room.create({ meeting, host: { external_user_id: 'somebody-else' } })
    await room.create({ meeting })
    expect(await mappingOf(room)).toMatchObject({ external_user_id: 'somebody-else', source: 'api' })
  })

  test('at a company’s own address leads to that company’s user alone, and at Zoom’s address to him too', async () => {
    const room = await withPersonalRoom('acme.zoom.us')
    const meetingAt = async (host: string) => await room.create({ meeting: `https://${host}/my/${room.name}` })
    for (const host of ['acme.zoom.us', 'zoom.us', 'us06web.zoom.us'])
      expect((await meetingAt(host)).json().meeting_id).toBe(room.pmi)
    expect(outcomeOf(await meetingAt('other.zoom.us'))).toEqual([400, 'invalid_request'])
  })

  test('that two users have is refused at Zoom’s address, where it could be either’s', async () => {
    const room = await withPersonalRoom('acme.zoom.us')
    const email = `${unique()}@example.com`
    t.zoom.addUser({ email, pmi: String(++numbers), vanity_url: `https://beta.zoom.us/my/${room.name}` })
    await t.connectHost('another', email, room.headers)
    const refused = await room.create({ meeting: `https://zoom.us/my/${room.name}` })
    expect([...outcomeOf(refused), refused.json().detail]).toEqual([
      400,
      'invalid_request',
      expect.stringContaining('more than one connected host'),
    ])
    const exact = await room.create({ meeting: `https://beta.zoom.us/my/${room.name}` })
    expect(exact.json().meeting_id).toBe(String(numbers))
    t.zoom.addUser({ email, vanity_url: `https://us06web.zoom.us/my/${room.name}` })
    await t.connectHost('another', email, room.headers)
    const own = await room.create({ meeting: `https://acme.zoom.us/my/${room.name}` })
    expect(own.json().meeting_id).toBe(room.pmi)
  })

  test('that nobody has, or only another tenant’s user, says so and what to give instead', async () => {
    const room = await withPersonalRoom()
    const stranger = await newTenantWithKey(t)
    await seedHost(t, stranger.id, 'alice')
    const refusals = [
      await room.create({ meeting: 'https://zoom.us/my/nobody' }),
      await stranger.call('POST', '/v1/passes', { meeting: `https://zoom.us/my/${room.name}` }),
    ]
    for (const refused of refusals) {
      expect(outcomeOf(refused)).toEqual([400, 'invalid_request'])
      expect(refused.json().detail).toMatch(
        /personal link.*no connected host.*Give the number that the invitation shows/,
      )
      expect(refused.json().errors).toEqual([{ path: 'body/meeting', message: expect.any(String) }])
    }
  })

  test('leads nowhere for a tenant whose user withdrew his consent and gave it again through another', async () => {
    const room = await withPersonalRoom()
    await rows(t, 'UPDATE grant_tokens SET consent_epoch = consent_epoch + 1 WHERE grant_id = $1', [
      (await keptOf(room.host.id)).id,
    ])
    expect(outcomeOf(await room.create({ meeting: `https://zoom.us/my/${room.name}` }))).toEqual([
      400,
      'invalid_request',
    ])
  })

  test('follows the user to another name and number when he connects again', async () => {
    const room = await withPersonalRoom()
    const pmi = String(++numbers)
    t.zoom.addUser({ email: room.email, pmi, vanity_url: `https://acme.zoom.us/my/new.${room.name}` })
    await t.connectHost(room.externalUserId, room.email, room.headers)
    expect((await room.create({ meeting: `https://zoom.us/my/new.${room.name}` })).json().meeting_id).toBe(pmi)
    expect((await room.create({ meeting: `https://zoom.us/my/${room.name}` })).statusCode).toBe(400)
  })

  test('shows in no answer about the host', async () => {
    const { headers, name, pmi, host } = await withPersonalRoom()
    const shown = (await t.api('GET', `/v1/hosts/${host.id}`, { headers })).body
    expect([shown.includes(pmi), shown.includes(name)]).toEqual([false, false])
  })
})

describe('number and personal link of a user are erased', () => {
  const GONE = { pmi: null, host: null, name: null }
  const endings: Record<string, (room: Room, kept: Record<string, string>) => Promise<unknown>> = {
    'when the host is deleted': ({ headers, host }) => t.api('DELETE', `/v1/hosts/${host.id}`, { headers }),
    'when the host is deleted and not revoked': ({ headers, host }) =>
      t.api('DELETE', `/v1/hosts/${host.id}?revoke=false`, { headers }),
    'when the host is released': ({ headers, host }) => t.api('POST', `/v1/hosts/${host.id}/release`, { headers }),
    'when the tenant is deleted': ({ headers }) => t.api('DELETE', `/v1/tenants/${headers['latchkey-tenant']}`),
    'when the user takes the app away': (_, { user = '', account = '' }) =>
      zoomSends(t, deauthorization(user, account)),
    'when the user is deleted at Zoom': (_, { user = '', account = '' }) =>
      zoomSends(t, userEvent('user.deleted', user, account)),
  }
  test.each(Object.keys(endings))('%s', async (when) => {
    const room = await withPersonalRoom()
    await room.create({ meeting: `https://zoom.us/my/${room.name}` })
    const kept = await keptOf(room.host.id)
    expect(kept).toMatchObject({ pmi: room.pmi, host: 'zoom.us', name: room.name })
    await endings[when]?.(room, kept)
    await t.services.zoomEvents.processAcrossTenants()
    const left = () =>
      rows(t, 'SELECT pmi, personal_link_host AS host, personal_link_name AS name FROM grants WHERE id = $1', [kept.id])
    await expect.poll(left, { timeout: 5000, interval: 20 }).toEqual([GONE])
    expect(await rows(t, `SELECT FROM meetings WHERE meeting_id = $1 AND source <> 'api'`, [room.pmi])).toEqual([])
  })

  test('by latchkey erase, where a connect flow wrote them after the end; until then erase --verify names them', async () => {
    const { host, headers, pmi } = await withPersonalRoom()
    const { id } = await keptOf(host.id)
    await t.api('DELETE', `/v1/hosts/${host.id}`, { headers })
    await rows(t, 'UPDATE grants SET pmi = $2 WHERE id = $1', [id, pmi])
    const findings = async () =>
      (await t.services.erasure.verifyAcrossTenants()).filter(({ ids }) => ids.includes(id)).map(({ table }) => table)
    expect(await findings()).toEqual(['grants'])
    await t.services.erasure.sweepAcrossTenants()
    expect(await findings()).toEqual([])
  })
})

test('password, token and key of a pasted link are in no row of the database, no log line and no answer', async () => {
  const room = await withPersonalRoom()
  const canaries = ['pwd', 'tk', 'zak'].map((name) => `${name}-canary-${unique()}`)
  const query = `pwd=${canaries[0]}&tk=${canaries[1]}&zak=${canaries[2]}`
  const links = [
    `https://us02web.zoom.us/j/85996249517?${query}`,
    `https://zoom.us/wc/join/85996249517?${query}#${query}`,
    `zoommtg://zoom.us/join?confno=85996249517&${query}`,
    `https://acme.zoom.us/my/${room.name}?${query}`,
    `https://zoom.us/my/nobody?${query}`,
    `https://zoomgov.com/j/85996249517?${query}`,
    `https://evil.example/j/85996249517?${query}`,
    `https://zoom.us/rec/85996249517?${query}`,
    `85996249517?${query}`,
  ]
  const { id } = (await room.create({ meeting: '123456789' })).json()
  const answers: { statusCode: number; body: string }[] = []
  const send = async (...call: Parameters<typeof t.api>) => {
    const [method, url, options] = call
    const headers = { ...room.headers, 'idempotency-key': unique() }
    answers.push(await t.api(method, url, { ...options, headers }))
  }
  for (const meeting of links) {
    const inPath = encodeURIComponent(meeting)
    await send('POST', '/v1/passes', { body: { meeting } })
    await send('PATCH', `/v1/passes/${id}`, { body: { meeting } })
    await send('PUT', `/v1/meetings/${inPath}`, { body: { external_user_id: room.externalUserId } })
    await send('GET', `/v1/meetings/${inPath}`)
    await send('GET', `/v1/passes?meeting_id=${inPath}`)
    await send('GET', `/v1/mints?meeting_id=${inPath}`)
  }
  expect(answers.slice(0, 2).map(({ statusCode }) => statusCode)).toEqual([201, 200])
  expect(answers.filter(({ statusCode }) => ![200, 201, 400].includes(statusCode))).toEqual([])
  const rowsOfAll = await dump(t)
  expect([rowsOfAll.includes('85996249517'), t.log.join('').includes('request answered')]).toEqual([true, true])
  const places = [rowsOfAll, t.log.join(''), JSON.stringify(answers.map(({ body }) => body))]
  for (const canary of canaries) expect(places.map((place) => place.includes(canary))).toEqual([false, false, false])
})
