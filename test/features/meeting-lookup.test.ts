import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DEFAULT_MODES } from '../../simulator/seed.ts'
import { startTestApp } from '../helpers/app.ts'
import { newTenant } from '../helpers/connect.ts'
import { ledgerOf } from '../helpers/guard.ts'
import { unique } from '../helpers/management.ts'
import { newNumber } from '../helpers/meeting-events.ts'
import { told } from '../helpers/vault.ts'

const t = await startTestApp({ env: { ZOOM_TIMEOUT_MS: '1000', MINT_DEADLINE_MS: '4500' } })
afterAll(() => t.stop())
afterEach(() => {
  t.zoom.clearFaults()
  t.zoom.setModes(DEFAULT_MODES)
})

let tenant: Awaited<ReturnType<typeof newTenant>>
beforeEach(async () => {
  tenant = await newTenant(t)
})

type Headers = Record<string, string>

/** A user of the tenant who has connected, and a meeting of theirs that nobody has mapped. */
async function newHost(headers: Headers = tenant.headers, name = unique()) {
  const email = `${name}@example.com`
  const meeting = newNumber()
  t.zoom.addUser({ email })
  t.zoom.addMeeting({ id: meeting, host: email })
  const { id } = await t.connectHost(name, email, headers)
  return { id, name, email, meeting }
}
const passFor = (meeting: string, more: object = {}) => t.createPass({ meeting, ...more }, tenant.headers)
const questions = (meeting: string) => t.zoom.log().filter(({ path }) => path === `/v2/meetings/${meeting}`)
const askedUsers = (meeting: string) => questions(meeting).map(({ user_id }) => user_id)
const mapping = async (meeting: string, headers: Headers = tenant.headers) =>
  (await t.api('GET', `/v1/meetings/${meeting}`, { headers })).json()
const ask = (answer: Parameters<typeof t.zoom.setFault>[0]['action'], more: object = {}) =>
  t.zoom.setFault({ match: { path: '^/v2/meetings/\\d+$', ...more }, times: -1, action: answer })
const NOT_MAPPED = [404, 'meeting_not_mapped']

describe('the first bot for a meeting that nobody has mapped', () => {
  test('gets its token from the connected host whose meeting Zoom says it is, and the next bot asks nobody', async () => {
    const host = await newHost()
    const pass = await passFor(host.meeting, { kinds: ['join', 'zak', 'obf'] })
    expect(told(await t.bot(pass.join_token_url))).toEqual([200])
    expect(await mapping(host.meeting)).toMatchObject({ host_id: host.id, source: 'lookup', replaced: null })
    expect([told(await t.bot(pass.obf_token_url)), told(await t.bot(pass.zak_token_url))]).toEqual([[200], [200]])
    expect(questions(host.meeting)).toHaveLength(1)
    const headers = tenant.headers
    await t.services.ledger.flush()
    const mints = (await t.api('GET', `/v1/mints?pass_id=${pass.id}&kind=join`, { headers })).json().data
    expect(mints).toMatchObject([{ outcome: 'minted', host_id: host.id, reason: null }])
  })

  test.each(['zak', 'obf'] as const)('also where it asks for %s', async (kind) => {
    const host = await newHost()
    const pass = await passFor(host.meeting, { kinds: [kind] })
    expect(told(await t.bot(pass[`${kind}_token_url`]))).toEqual([200])
  })

  test('is answered in every tenant that links the host', async () => {
    const host = await newHost()
    const other = await newTenant(t)
    await t.connectHost('theirs', host.email, other.headers)
    await t.connectHost(host.name, host.email, tenant.headers)
    expect(told(await t.bot((await passFor(host.meeting)).join_token_url))).toEqual([200])
    expect(await mapping(host.meeting, other.headers)).toMatchObject({ source: 'lookup', external_user_id: 'theirs' })
  })

  test('is not mapped again in a tenant that took the mapping away, which answers others as before', async () => {
    const host = await newHost()
    const other = await newTenant(t)
    const { id } = await t.connectHost('theirs', host.email, other.headers)
    await t.connectHost(host.name, host.email, tenant.headers)
    const url = `/v1/meetings/${host.meeting}`
    await t.api('PUT', url, { headers: other.headers, body: { host_id: id } })
    await t.api('DELETE', url, { headers: other.headers })
    expect(told(await t.bot((await passFor(host.meeting)).join_token_url))).toEqual([200])
    expect((await t.api('GET', url, { headers: other.headers })).statusCode).toBe(404)
  })

  test('of a personal meeting room is answered too', async () => {
    const host = await newHost()
    const { pmi } = t.zoom.addUser({ email: host.email })
    expect(told(await t.bot((await passFor(pmi)).join_token_url))).toEqual([200])
  })

  test('finds the user it acts on behalf of first, and asks nobody else then', async () => {
    const boss = await newHost()
    for (let other = 0; other < 6; other++) await newHost()
    const pass = await passFor(boss.meeting, { on_behalf_of: { external_user_id: boss.name } })
    expect(told(await t.bot(pass.join_token_url))).toEqual([200])
    expect(questions(boss.meeting)).toHaveLength(1)
  })
})

describe('a meeting of nobody who is connected', () => {
  test('is not mapped, after as many questions as there are likely hosts and never more than five', async () => {
    const stranger = newNumber()
    t.zoom.addMeeting({ id: stranger, host: t.zoom.addUser({ email: `${unique()}@example.com` }).id })
    for (let hosts = 1; hosts <= 7; hosts++) await newHost()
    const pass = await passFor(stranger)
    expect(told(await t.bot(pass.join_token_url))).toEqual(NOT_MAPPED)
    expect(new Set(askedUsers(stranger)).size).toBe(5)
    expect(questions(stranger)).toHaveLength(5)
    expect(await ledgerOf(t, pass.id)).toEqual([{ kind: 'join', outcome: 'meeting_not_mapped', reason: 'looked_up' }])
  })

  test.each([3001, 1010, 4700, 124, 4711] as const)(
    'costs no host anything, whatever code Zoom has for it: %i',
    async (nonHostCode) => {
      const [host, stranger] = [await newHost(), newNumber()]
      t.zoom.addMeeting({ id: stranger, host: t.zoom.addUser({ email: `${unique()}@example.com` }).id })
      t.zoom.setModes({ nonHostCode })
      const refreshes = t.zoom.refreshes
      expect(told(await t.bot((await passFor(stranger)).join_token_url))).toEqual(NOT_MAPPED)
      expect(told(await t.bot((await passFor(host.meeting)).join_token_url))).toEqual([200])
      expect([t.zoom.refreshes, questions(stranger).length]).toEqual([refreshes, 1])
    },
  )

  test('is remembered for each who said no: asking again asks only whoever connected since', async () => {
    const [, late] = [await newHost(), `${unique()}@example.com`]
    t.zoom.addUser({ email: late })
    const meeting = newNumber()
    t.zoom.addMeeting({ id: meeting, host: late })
    const pass = await passFor(meeting)
    for (let times = 0; times < 3; times++) expect(told(await t.bot(pass.join_token_url))).toEqual(NOT_MAPPED)
    expect(questions(meeting)).toHaveLength(1)
    await t.connectHost('late', late, tenant.headers)
    expect(told(await t.bot(pass.join_token_url))).toEqual([200])
    expect(questions(meeting)).toHaveLength(2)
  })

  test('that Zoom shows to a user who is not its host is not that user’s', async () => {
    const host = await newHost()
    ask({ type: 'set', fields: { host_id: 'somebody-else' } })
    expect(told(await t.bot((await passFor(host.meeting)).join_token_url))).toEqual(NOT_MAPPED)
    expect((await t.api('GET', `/v1/meetings/${host.meeting}`, { headers: tenant.headers })).statusCode).toBe(404)
  })
})

describe('who is not asked', () => {
  test('is a host of another tenant, whosever meeting it is', async () => {
    const other = await newTenant(t)
    const theirs = await newHost(other.headers)
    expect(told(await t.bot((await passFor(theirs.meeting)).join_token_url))).toEqual(NOT_MAPPED)
    expect(questions(theirs.meeting)).toEqual([])
  })

  test('is a host who is blocked, must reconnect, or consented without the scope', async () => {
    const [blocked, gone, bare] = [await newHost(), await newHost(), await newHost()]
    const of = (id: string) => `(SELECT grant_id FROM hosts WHERE id = '${id}')`
    await t.admin.query(`UPDATE grants SET blocked_reason = 'admin_disabled' WHERE id = ${of(blocked.id)}`)
    await t.admin.query(
      `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'expired' WHERE grant_id = ${of(gone.id)}`,
    )
    await t.admin.query(`UPDATE grants SET scopes = '{user:read:token}' WHERE id = ${of(bare.id)}`)
    for (const { meeting } of [blocked, gone, bare]) {
      expect(told(await t.bot((await passFor(meeting)).join_token_url))).toEqual(NOT_MAPPED)
      expect(questions(meeting)).toEqual([])
    }
  })

  test('is anybody, once the tenant has deleted the mapping: its word stands', async () => {
    const host = await newHost()
    const pass = await passFor(host.meeting, { host: { host_id: host.id } })
    await t.api('DELETE', `/v1/meetings/${host.meeting}`, { headers: tenant.headers })
    expect(told(await t.bot(pass.join_token_url))).toEqual(NOT_MAPPED)
    expect(questions(host.meeting)).toEqual([])
    expect(await ledgerOf(t, pass.id)).toMatchObject([{ reason: 'mapping_deleted' }])
  })

  test('is a host whose consent turns out to lack the scope: the next one is the meeting’s', async () => {
    const [host, bare] = [await newHost(), await newHost()]
    ask({ type: 'zoom_error', code: 4711, status: 400 }, { user_id: bare.email })
    expect(told(await t.bot((await passFor(host.meeting)).join_token_url))).toEqual([200])
  })
})

describe('many bots at once', () => {
  test('a hundred for one meeting share one question, and all get their tokens', async () => {
    const host = await newHost()
    const passes = await Promise.all(Array.from({ length: 10 }, () => passFor(host.meeting)))
    const held = ask({ type: 'hold' })
    const bots = Array.from({ length: 100 }, (_, index) => t.bot(passes[index % 10]?.join_token_url ?? ''))
    await held.hit()
    t.zoom.clearFaults()
    const answers = await Promise.all(bots)
    expect(new Set(answers.map(({ body }) => body)).size).toBe(100)
    expect(answers.every(({ statusCode }) => statusCode === 200)).toBe(true)
    expect(questions(host.meeting)).toHaveLength(1)
  })

  test('for ever new meetings of strangers ask no more than 60 questions a minute, and another tenant’s still ask', async () => {
    for (let hosts = 0; hosts < 5; hosts++) await newHost()
    const numbers = Array.from({ length: 15 }, newNumber)
    const passes: { id: string; join_token_url: string }[] = []
    for (const number of numbers) passes.push(await passFor(number))
    for (const pass of passes) expect(told(await t.bot(pass.join_token_url))).toEqual(NOT_MAPPED)
    expect(numbers.flatMap(questions)).toHaveLength(60)
    expect(await ledgerOf(t, passes.at(-1)?.id ?? '')).toMatchObject([{ reason: 'quota' }])
    tenant = await newTenant(t)
    const neighbour = await newHost()
    expect(told(await t.bot((await passFor(neighbour.meeting)).join_token_url))).toEqual([200])
  })
})

describe('where Zoom does not say', () => {
  test('a hanging answer keeps the bot no longer than its deadline, and is no no', async () => {
    const host = await newHost()
    const pass = await passFor(host.meeting)
    ask({ type: 'hang' })
    const startedMs = performance.now()
    expect(told(await t.bot(pass.join_token_url))).toEqual(NOT_MAPPED)
    expect(performance.now() - startedMs).toBeLessThan(4500)
    expect(await ledgerOf(t, pass.id)).toMatchObject([{ reason: 'lookup_incomplete' }])
    t.zoom.clearFaults()
    expect(told(await t.bot(pass.join_token_url))).toEqual([200])
  })

  test('a host for whom Zoom hangs does not keep the bot from the one whose meeting it is', async () => {
    const [slow, host] = [await newHost(), await newHost()]
    ask({ type: 'hang' }, { user_id: slow.email })
    const pass = await passFor(host.meeting, { on_behalf_of: { external_user_id: slow.name } })
    expect(told(await t.bot(pass.join_token_url))).toEqual([200])
  })

  test.each([
    ['limits requests', { type: 'status', status: 429 }],
    ['fails', { type: 'status', status: 503 }],
    ['answers a firewall’s page', { type: 'html', status: 403 }],
    ['names no host', { type: 'omit', field: 'host_id' }],
    ['breaks off', { type: 'reset' }],
  ] as const)('because it %s, the meeting stays unmapped, and is asked about again', async (_what, action) => {
    const host = await newHost()
    const pass = await passFor(host.meeting)
    ask(action)
    expect(told(await t.bot(pass.join_token_url))).toEqual(NOT_MAPPED)
    t.zoom.clearFaults()
    expect(told(await t.bot(pass.join_token_url))).toEqual([200])
  })
})

test('what was searched and asked is counted, without a number or a name', async () => {
  const host = await newHost()
  await t.bot((await passFor(host.meeting)).join_token_url)
  const text = await t.metrics.registry.metrics()
  expect(text).toMatch(/latchkey_meeting_lookups_total\{outcome="found"\} [1-9]/)
  expect(text).toMatch(/latchkey_meeting_lookup_questions_total\{answer="yes"\} [1-9]/)
  expect(text).not.toContain(host.meeting)
})
