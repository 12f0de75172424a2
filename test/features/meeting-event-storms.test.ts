import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { createMeetingEventStore } from '../../src/features/meetings/event-store.ts'
import { startTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { seedHost, unique } from '../helpers/management.ts'
import { meetingEvent, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET } })
afterAll(() => t.stop())

const ACCOUNT = 'account-1'
const START_MS = Date.now() - 3_600_000

/** Two tenants: one knows Alice and Bob, the other Alice alone; nobody knows Carol. */
async function world() {
  const [both, one] = [await newTenant(t), await newTenant(t)]
  const users = { alice: unique(), bob: unique(), carol: unique() }
  const { grantId } = await seedHost(t, both.id, 'alice', { zoomUserId: users.alice })
  await seedHost(t, both.id, 'bob', { zoomUserId: users.bob })
  await t.services.hosts.link(one.id, { externalUserId: 'ali', grantId, consentEpoch: 0, onOtherZoomUser: 'refuse' })
  return { tenants: [both.id, one.id], users }
}
const { tenants, users } = await world()
const [zoomApp] = await rows<{ id: string }>(t, `SELECT id FROM zoom_apps WHERE managed_by = 'environment'`)

interface Word {
  /** Which of the meetings. */
  meeting: number
  host: keyof typeof users | null
  second: number
}
const word = (meetings: number, seconds: number): fc.Arbitrary<Word> =>
  fc.record({
    meeting: fc.nat(meetings - 1),
    host: fc.constantFrom<Word['host']>('alice', 'bob', 'carol', null),
    second: fc.nat(seconds - 1),
  })
const numberOf = (base: number, meeting: number) => String(base + meeting)
const tie = ({ host }: Word) => (host === null ? 1 : 0)
/** As Zoom sent them: by time; who deletes has the last word of a moment. */
const inOrder = (words: Word[]) => [...words].sort((a, b) => a.second - b.second || tie(a) - tie(b))

/** Whose each meeting is, in every tenant, by the place of the meeting. */
async function mapOf(base: number) {
  return await rows(
    t,
    `SELECT meeting_id::bigint - $1 AS meeting, tenant_id AS tenant, external_user_id AS host, source, observed_at AS at
       FROM meetings WHERE tenant_id = ANY ($2) AND meeting_id BETWEEN $1::text AND ($1 + 9999)::text ORDER BY 1, 2`,
    [base, tenants],
  )
}
const apply = (base: number, { meeting, host, second }: Word) =>
  t.services.meetings.applyEventAcrossTenants({
    zoomAppId: String(zoomApp?.id),
    zoomAccountId: ACCOUNT,
    at: new Date(START_MS + second * 1000),
    words: [{ meetingId: numberOf(base, meeting), zoomUserId: host === null ? null : users[host] }],
  })

/** What the map must be, by the rule as it is written down and not by our code. */
function expected(words: Word[]) {
  const last = new Map<number, Word>()
  for (const each of inOrder(words)) last.set(each.meeting, each)
  const names: Record<string, [string, string][]> = {
    alice: [
      [tenants[0] as string, 'alice'],
      [tenants[1] as string, 'ali'],
    ],
    bob: [[tenants[0] as string, 'bob']],
  }
  return [...last.values()].flatMap(({ meeting, host, second }) =>
    (names[String(host)] ?? []).map(([tenant, name]) => `${meeting} ${tenant} ${name} ${second}`),
  )
}
const told = (map: Record<string, unknown>[]) =>
  map.map(
    ({ meeting, tenant, host, at }) => `${meeting} ${tenant} ${host} ${((at as Date).getTime() - START_MS) / 1000}`,
  )

let bases = 500_000_000
const newBase = () => {
  bases += 20_000
  return bases
}

test('any events in any order, repeated and at once, end in the map of the clean order', async () => {
  const delivered = fc
    .array(word(3, 6), { minLength: 1, maxLength: 12 })
    .chain((words) =>
      fc.tuple(
        fc.constant(words),
        fc.shuffledSubarray([...words, ...words], { minLength: words.length * 2, maxLength: words.length * 2 }),
        fc.boolean(),
      ),
    )
  await fc.assert(
    fc.asyncProperty(delivered, async ([words, shuffled, isAtOnce]) => {
      const [clean, stormy] = [newBase(), newBase()]
      for (const each of inOrder(words)) await apply(clean, each)
      if (isAtOnce) await Promise.all(shuffled.map((each) => apply(stormy, each)))
      else for (const each of shuffled) await apply(stormy, each)
      expect(await mapOf(stormy)).toEqual(await mapOf(clean))
    }),
    { numRuns: 60 },
  )
})

test('a storm of 5,000 repeated, shuffled deliveries ends within a minute in the map of the clean order', async () => {
  const base = newBase()
  // one word for a meeting and a second, as Zoom's milliseconds keep them apart
  const distinct = fc.sample(
    fc.uniqueArray(word(150, 300), {
      minLength: 1250,
      maxLength: 1250,
      selector: ({ meeting, second }) => `${meeting} ${second}`,
    }),
    { numRuns: 1, seed: 7 },
  )[0] as Word[]
  const [shuffled = []] = fc.sample(
    fc.shuffledSubarray([...distinct, ...distinct, ...distinct, ...distinct], { minLength: 5000 }),
    { numRuns: 1, seed: 11 },
  )
  const startedAtMs = performance.now()
  for (let first = 0; first < shuffled.length; first += 50)
    await Promise.all(
      shuffled.slice(first, first + 50).map(async ({ meeting, host, second }) => {
        const object = { id: Number(numberOf(base, meeting)), ...(host === null ? {} : { host_id: users[host] }) }
        const name = host === null ? 'meeting.deleted' : 'meeting.updated'
        const event = meetingEvent(name, ACCOUNT, object, { at: new Date(START_MS + second * 1000) })
        expect((await zoomSends(t, event)).statusCode).toBe(204)
      }),
    )
  await t.services.zoomEvents.processAcrossTenants()
  const tookMs = performance.now() - startedAtMs
  expect(told(await mapOf(base)).sort()).toEqual(expected(distinct).sort())
  expect(await rows(t, `SELECT FROM zoom_events WHERE processed_at IS NULL OR outcome = 'failed'`)).toEqual([])
  expect(tookMs).toBeLessThan(60_000)
}, 90_000)

test('an event that is overtaken between its two statements leaves no mapping behind', async () => {
  const base = newBase()
  const later = await t.admin.connect()
  const isWaiting = async () =>
    (
      await rows(
        t,
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%meeting_event_apply%'`,
      )
    ).length > 0
  let isOvertaken = false
  const store = createMeetingEventStore({
    rows: async (statement, values) => {
      if (!statement.name.startsWith('meeting_event_apply')) return await t.app.sql.rows(statement, values)
      await later.query('BEGIN')
      await later.query(
        `UPDATE meeting_event_marks SET at = at + interval '1 s', said = 'gone' WHERE meeting_id = $1`,
        [numberOf(base, 1)],
      )
      const applied = t.app.sql.rows(statement, values)
      await expect.poll(isWaiting, { timeout: 5000 }).toBe(true)
      await later.query('COMMIT')
      isOvertaken = true
      return (await applied) as never
    },
  })
  const words = [{ meetingId: numberOf(base, 1), zoomUserId: users.alice }]
  const at = new Date(START_MS)
  const effect = await store.apply({ zoomAppId: String(zoomApp?.id), zoomAccountId: ACCOUNT, at, words })
  later.release()
  expect([isOvertaken, effect]).toEqual([true, { news: 0, mapped: 0, removed: 0 }])
  expect(await mapOf(base)).toEqual([])
})
