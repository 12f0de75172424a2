import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createNextPassStore } from '../../src/features/hosts/next-passes.ts'
import { uuidv7 } from '../../src/lib/ids.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { newTenantWithKey, outcomeOf, seedHost, unique } from '../helpers/management.ts'

const MINUTE_MS = 60_000
let t: TestApp
let tenant: Awaited<ReturnType<typeof newTenantWithKey>>
let meetings = 100_000_000

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())
beforeEach(async () => {
  tenant = await newTenantWithKey(t)
})

const newHost = async (status = 'reconnect_required') => {
  const externalUserId = unique()
  return { externalUserId, ...(await seedHost(t, tenant.id, externalUserId, { status })) }
}
type SeededHost = Awaited<ReturnType<typeof newHost>>
const inMinutes = (minutes: number) => new Date(Date.now() + minutes * MINUTE_MS).toISOString()

async function newPass(body: Record<string, unknown>): Promise<{ id: string; meeting: string; joinAt: string }> {
  const meeting = String(++meetings)
  const joinAt = String(body.join_at)
  // made while it may be, moved in time past the API: a pass is not made for a meeting of the past
  const { join_at: _, ...rest } = body
  const created = await tenant.call('POST', '/v1/passes', { meeting, ...rest })
  expect(created.statusCode).toBe(201)
  const { id } = created.json()
  const set = `UPDATE passes SET join_at = $2, expires_at = now() + interval '1 day' WHERE id = $1`
  await t.admin.query(set, [id, body.join_at ?? null])
  return { id, meeting, joinAt }
}
const passOf = (host: SeededHost, minutes: number, more: Record<string, unknown> = {}) =>
  newPass({ host: { host_id: host.id }, join_at: inMinutes(minutes), ...more })

interface Listed {
  id: string
  next_pass: { pass_id: string; meeting_id: string; join_at: string } | null
}
const ranked = async (query = '') => {
  const answer = await tenant.call('GET', `/v1/hosts?sort=next_pass&status=reconnect_required${query}`)
  expect(answer.statusCode).toBe(200)
  return answer.json() as { data: Listed[]; next_cursor: string | null }
}
const idsOf = async () => (await ranked()).data.map(({ id }) => id)
const nextOf = async ({ id }: SeededHost) => (await ranked()).data.find((host) => host.id === id)?.next_pass
const nextPassesOf = async ({ id }: SeededHost, limit = 10) =>
  (await t.services.hosts.nextPassesOf(tenant.id, id, limit)).map(({ passId }) => passId)

describe('the hosts to reconnect', () => {
  test('come in the order of their next passes, those without one last, the newest first among equals', async () => {
    const [none, later, sooner, none2] = [await newHost(), await newHost(), await newHost(), await newHost()]
    await passOf(later, 60)
    await passOf(sooner, 500)
    const first = await passOf(sooner, 30)
    expect(await idsOf()).toEqual([sooner.id, later.id, none2.id, none.id])
    const { pass_id, meeting_id, join_at } = (await nextOf(sooner)) as NonNullable<Listed['next_pass']>
    expect([pass_id, meeting_id, join_at]).toEqual([first.id, first.meeting, first.joinAt])
    expect(await nextOf(none)).toBeNull()
    expect(await nextPassesOf(sooner)).toHaveLength(2)
    expect((await nextPassesOf(sooner, 1))[0]).toBe(first.id)
  })

  test('are those of the filter and of the tenant alone', async () => {
    const [dead, living] = [await newHost(), await newHost('connected')]
    await passOf(living, 5)
    expect(await idsOf()).toEqual([dead.id])
    const mine = tenant
    tenant = await newTenantWithKey(t)
    const theirs = await newHost()
    await passOf(theirs, 1)
    expect(await idsOf()).toEqual([theirs.id])
    expect(await t.services.hosts.nextPassesOf(mine.id, theirs.id, 5)).toEqual([])
  })

  test('show no pass where nobody asked for the order', async () => {
    const host = await newHost()
    await passOf(host, 5)
    const [listed] = (await tenant.call('GET', '/v1/hosts')).json().data
    expect(listed).not.toHaveProperty('next_pass')
    expect((await tenant.call('GET', `/v1/hosts/${host.id}`)).json()).not.toHaveProperty('next_pass')
    expect(outcomeOf(await tenant.call('GET', '/v1/hosts?sort=email'))).toEqual([400, 'invalid_request'])
  })
})

describe('a pass counts', () => {
  test('while its bot may still come: not once it is revoked, expired, long begun, or has no time', async () => {
    const host = await newHost()
    await newPass({ host: { host_id: host.id } })
    await passOf(host, -16)
    const revoked = await passOf(host, 5)
    await tenant.call('DELETE', `/v1/passes/${revoked.id}`)
    const expired = await passOf(host, -5)
    await t.admin.query('UPDATE passes SET expires_at = now() WHERE id = $1', [expired.id])
    expect([await nextOf(host), await nextPassesOf(host)]).toEqual([null, []])
    const late = await passOf(host, -14)
    expect([(await nextOf(host))?.pass_id, await nextPassesOf(host)]).toEqual([late.id, [late.id]])
  })

  test('for the host its meeting is mapped to, and follows the mapping', async () => {
    const [former, present] = [await newHost(), await newHost()]
    const pass = await passOf(former, 10)
    await tenant.call('PUT', `/v1/meetings/${pass.meeting}`, { host_id: present.id })
    expect([await nextPassesOf(former), await nextPassesOf(present)]).toEqual([[], [pass.id]])
    expect([await nextOf(former), (await nextOf(present))?.pass_id]).toEqual([null, pass.id])
  })

  test('for those it names for OBF, and for the meeting’s host where another kind needs it', async () => {
    const [host, named] = [await newHost(), await newHost()]
    const on_behalf_of = [{ host_id: named.id }]
    const obf = await passOf(host, 10, { kinds: ['obf'], on_behalf_of })
    expect([await nextPassesOf(host), await nextPassesOf(named)]).toEqual([[], [obf.id]])
    const both = await passOf(host, 5, { kinds: ['join', 'obf'], on_behalf_of })
    expect([await nextPassesOf(host), await nextPassesOf(named)]).toEqual([[both.id], [both.id, obf.id]])
    const alone = await passOf(host, 20, { kinds: ['obf'] })
    expect(await nextPassesOf(host)).toEqual([both.id, alone.id])
    expect([(await nextOf(host))?.pass_id, (await nextOf(named))?.pass_id]).toEqual([both.id, both.id])
  })
})

describe('paging through them', () => {
  test('gives each host once, in order, whatever the size of a page', async () => {
    const hosts: SeededHost[] = []
    for (let count = 0; count < 7; count++) hosts.push(await newHost())
    const joinAt = inMinutes(9)
    // two at one time, and two without a pass: what the id decides
    for (const [index, minutes] of [30, 20, 9, 9, 1].entries()) {
      const host = hosts[index] as SeededHost
      await newPass({ host: { host_id: host.id }, join_at: minutes === 9 ? joinAt : inMinutes(minutes) })
    }
    const expected = [4, 3, 2, 1, 0, 6, 5].map((index) => hosts[index]?.id)
    for (const limit of [1, 2, 3]) {
      const seen: string[] = []
      let cursor: string | null = ''
      while (cursor !== null) {
        const page: Awaited<ReturnType<typeof ranked>> = await ranked(`&limit=${limit}&cursor=${cursor}`)
        seen.push(...page.data.map(({ id }) => id))
        cursor = page.next_cursor
      }
      expect(seen).toEqual(expected)
    }
  })

  test('keeps to the time of its first page: a pass whose grace ends meanwhile keeps its host where it was', async () => {
    const host = await newHost()
    const pass = await passOf(host, -20)
    const { rank } = createNextPassStore(t.app.prisma)
    const firstPlace = (minutesAgo: number) => `${(Date.now() - minutesAgo * MINUTE_MS) * 1000}.0.${uuidv7()}`
    const nextAsOf = async (minutesAgo: number) =>
      (await rank(tenant.id, {}, 10, firstPlace(minutesAgo))).map(({ nextPass }) => nextPass?.passId)
    expect([await nextAsOf(10), await nextAsOf(0)]).toEqual([[pass.id], [undefined]])
  })

  test('takes no cursor of another order or filter', async () => {
    for (let count = 0; count < 3; count++) await newHost()
    const sorted = (await ranked('&limit=1')).next_cursor
    const plain = (await tenant.call('GET', '/v1/hosts?status=reconnect_required&limit=1')).json().next_cursor
    for (const query of [
      `status=reconnect_required&cursor=${sorted}`,
      `sort=next_pass&cursor=${sorted}`,
      `sort=next_pass&status=reconnect_required&cursor=${plain}`,
    ])
      expect(outcomeOf(await tenant.call('GET', `/v1/hosts?${query}`)), query).toEqual([400, 'invalid_request'])
  })
})
