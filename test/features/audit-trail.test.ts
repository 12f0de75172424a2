import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AuditOptions, audit } from '../../src/cli/audit.ts'
import { erase } from '../../src/cli/erase.ts'
import { adopt } from '../../src/cli/grants.ts'
import { keysForget } from '../../src/cli/keys.ts'
import { uuidv7 } from '../../src/lib/ids.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { linesOf } from '../helpers/audit.ts'
import { rows } from '../helpers/connect.ts'
import { newKey, newTenantWithKey, outcomeOf, unique } from '../helpers/management.ts'

interface Told {
  id: string
  actor: string
  action: string
  outcome: string
  tenant_id: string | null
  address: string | null
  subject_ids: string[]
}

let t: TestApp

beforeAll(async () => {
  t = await startTestApp()
})
afterAll(() => t.stop())

const PASS = { meeting: '85996249517' }

/** A tenant that has done something, and calls by a key that may read of it. */
async function busyTenant() {
  const tenant = await newTenantWithKey(t)
  const key = await newKey(t, tenant.id, ['audit:read'])
  const passes: string[] = []
  for (let each = 0; each < 3; each++) passes.push((await tenant.call('POST', '/v1/passes', PASS)).json().id)
  await tenant.call('DELETE', `/v1/passes/${passes[0]}`)
  await tenant.call('DELETE', `/v1/passes/${passes[0]}`)
  await tenant.call('PUT', '/v1/meetings/111222333', { external_user_id: 'alice' })
  await linesOf(t)
  const read = (query = '', headers: Record<string, string> = {}) =>
    t.api('GET', `/v1/audit?${query}`, { key, headers })
  const list = async (query = '') => (await read(query)).json().data as Told[]
  return { ...tenant, key, passes, read, list }
}
const actionsOf = (lines: Told[]) => lines.map(({ action }) => action)
const ALL = [
  'putMeeting',
  'revokePass',
  'revokePass',
  'createPass',
  'createPass',
  'createPass',
  'createApiKey',
  'createApiKey',
]

describe('GET /v1/audit', () => {
  test('gives a tenant its own lines, newest first, by a key that was given the scope for it', async () => {
    const [mine, theirs] = [await busyTenant(), await busyTenant()]
    const lines = await mine.list()
    expect(actionsOf(lines)).toEqual(ALL)
    expect(new Set(lines.map(({ tenant_id }) => tenant_id))).toEqual(new Set([mine.id]))
    expect(lines[3]).toEqual({
      id: expect.any(String),
      at: expect.any(String),
      tenant_id: mine.id,
      actor: expect.stringMatching(/^key:/),
      action: 'createPass',
      subject_ids: [mine.passes[2]],
      request_id: expect.any(String),
      address: '127.0.0.1',
      outcome: 'done',
      status: 201,
      count: 1,
      details: {},
    })
    expect(await mine.list(`subject_id=${theirs.passes[0]}`)).toEqual([])
    expect(outcomeOf(await t.api('GET', '/v1/audit', { key: (await newTenantWithKey(t)).key }))).toEqual([
      403,
      'forbidden',
    ])
    const operators = await t.api('GET', '/v1/audit', { headers: { 'latchkey-tenant': mine.id } })
    expect(actionsOf(operators.json().data)).toEqual(['auth.scope_missing', ...ALL].slice(1))
  })

  test('does not show a tenant whence its operator called', async () => {
    const { id, list } = await busyTenant()
    const addressesOf = (lines: Told[]) => new Set(lines.map(({ address }) => address))
    expect(addressesOf(await list('actor=operator'))).toEqual(new Set([null]))
    const operators = await t.api('GET', '/v1/audit?actor=operator', { headers: { 'latchkey-tenant': id } })
    expect(addressesOf(operators.json().data)).toEqual(new Set(['127.0.0.1']))
  })

  test('is filtered by actor, action, subject, outcome and time, and pages under its filter', async () => {
    const { passes, list, read } = await busyTenant()
    expect(actionsOf(await list('actor=operator'))).toEqual(['createApiKey', 'createApiKey'])
    expect(actionsOf(await list('action=createPass'))).toHaveLength(3)
    expect(actionsOf(await list(`subject_id=${passes[0]}`))).toEqual(['revokePass', 'revokePass', 'createPass'])
    expect(actionsOf(await list('subject_id=111222333'))).toEqual(['putMeeting'])
    expect(actionsOf(await list('outcome=not_found'))).toEqual(['putMeeting', 'revokePass'])
    const all = (await read()).json().data as (Told & { at: string })[]
    const since = encodeURIComponent(String(all[1]?.at))
    expect(actionsOf(await list(`since=${since}`)).length).toBeGreaterThanOrEqual(2)
    expect(await list(`until=2020-01-01T00:00:00Z`)).toEqual([])
    const paged: Told[] = []
    for (let cursor = ''; ; ) {
      const page = (await read(`action=createPass&limit=1&cursor=${cursor}`)).json()
      paged.push(...page.data)
      cursor = page.next_cursor
      if (cursor === null) break
      expect(outcomeOf(await read(`limit=1&cursor=${cursor}`))).toEqual([400, 'invalid_request'])
    }
    expect(paged.map(({ subject_ids: [id] }) => id)).toEqual(passes.toReversed())
    for (const query of ['actor=Bob', 'action=a%00', 'subject_id=x', 'since=yesterday', 'format=csv', 'outcome=A'])
      expect(outcomeOf(await read(query))).toEqual([400, 'invalid_request'])
  })

  test('exports the same as JSON lines, and ends with a line that says that it is whole', async () => {
    const { list, read } = await busyTenant()
    const expected = [...(await list()), { next_cursor: null }]
    for (const answer of [await read('format=ndjson'), await read('', { accept: 'application/x-ndjson' })]) {
      expect(answer.headers['content-type']).toBe('application/x-ndjson; charset=utf-8')
      expect(answer.headers['cache-control']).toBe('no-store')
      expect(
        answer.body
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line)),
      ).toEqual(expected)
    }
    expect((await read('format=ndjson&outcome=not_found')).body.trimEnd().split('\n')).toHaveLength(3)
    expect(outcomeOf(await read('format=ndjson&cursor=xyz'))).toEqual([400, 'invalid_request'])
  })

  test('goes through any number of pages, and stops at its bound with where to go on', async () => {
    const { id } = await newTenantWithKey(t)
    await rows(
      t,
      `INSERT INTO audit_events (id, tenant_id, actor, action) SELECT gen_random_uuid(), $1, 'job', 'x.y' FROM generate_series(1, 1200)`,
      [id],
    )
    const reader = { tenantId: id, isOperator: true }
    const take = async (max: number, cursor?: string) =>
      await Array.fromAsync(t.services.auditTrail.export(reader, { action: 'x.y' }, max, cursor))
    const whole = await take(5000)
    expect(new Set(whole.map((line) => ('id' in line ? line.id : null))).size).toBe(1201)
    const part = await take(700)
    const end = part.at(-1) as { nextCursor: string }
    expect([part.length, [...part.slice(0, -1), ...(await take(700, end.nextCursor))]]).toEqual([701, whole])
  })
})

describe('GET /v1/operator/audit', () => {
  test('gives the operator the lines of all tenants, of those that are gone, and of none', async () => {
    const { id, key } = await busyTenant()
    await t.api('DELETE', `/v1/tenants/${id}`)
    await linesOf(t)
    const list = async (query: string) => (await t.api('GET', `/v1/operator/audit?${query}`)).json().data as Told[]
    expect(actionsOf(await list(`tenant_id=${id}`))).toEqual(['deleteTenant', ...ALL])
    expect((await list('action=createTenant')).every(({ tenant_id }) => tenant_id === null)).toBe(true)
    expect(new Set((await list('limit=200')).map(({ tenant_id }) => tenant_id)).size).toBeGreaterThan(2)
    expect((await t.api('GET', '/v1/operator/audit', { key })).statusCode).toBe(401) // of the tenant that is gone
  })
})

describe('latchkey audit', () => {
  const run = async (options: AuditOptions) => {
    const said: string[] = []
    await audit(t.settings, options, (line) => void said.push(line))
    return said.map((line) => JSON.parse(line) as Told)
  }

  test('prints JSON lines of a tenant by id or slug, of one that is gone, and of all', async () => {
    const { id, list } = await busyTenant()
    const { slug } = (await t.api('GET', `/v1/tenants/${id}`)).json()
    expect(actionsOf(await run({ tenant: id }))).toEqual(actionsOf(await list()))
    expect(await run({ tenant: slug })).toEqual(await run({ tenant: id }))
    expect((await run({})).length).toBeGreaterThan(ALL.length)
    await t.api('DELETE', `/v1/tenants/${id}`)
    await linesOf(t)
    expect(actionsOf(await run({ tenant: id }))[0]).toBe('deleteTenant')
  })

  test('has what an operator did by commands, and what came of it', async () => {
    const quiet = () => undefined
    await adopt(t.settings, quiet)
    await keysForget(t.settings, 'nobodys', quiet)
    await erase(t.settings, {}, quiet)
    await erase(t.settings, { verify: true }, quiet)
    const lines = (await run({})).filter(({ actor }) => actor === 'cli')
    expect(lines.map(({ action, outcome, subject_ids }) => [action, outcome, subject_ids])).toEqual([
      ['erase', 'done', []],
      ['forgetKey', 'refused', ['nobodys']],
      ['adoptDatabase', 'done', []],
    ])
  })

  test('takes a span of time, and refuses what is none', async () => {
    const { id } = await busyTenant()
    expect(await run({ tenant: id, until: '2020-01-01' })).toEqual([])
    expect(await run({ tenant: id, since: '2020-01-01T00:00:00Z' })).toHaveLength(ALL.length)
    await expect(run({ since: 'yesterday' })).rejects.toThrow('--since takes a time')
    await expect(run({ tenant: 'nobody' })).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('the trail is append-only', () => {
  const insert = async (columns = '', values = '') => {
    const id = uuidv7()
    const named = `INSERT INTO audit_events (id, actor, action${columns}) VALUES ($1, 'operator', 'x.y'${values})`
    await rows(t, named, [id])
    return id
  }
  const refused = { message: 'the audit trail is append-only' }

  test('in the database: no line is changed, emptied or deleted, by whatever statement', async () => {
    const id = await insert()
    for (const change of [
      `actor = 'somebody'`,
      `details = '{}'`,
      'at = now()',
      `address = NULL`,
      `outcome = 'done'`,
      `outcome = NULL`,
      'count = count + 1',
    ])
      await expect(rows(t, `UPDATE audit_events SET ${change} WHERE id = $1`, [id]), change).rejects.toMatchObject(
        refused,
      )
    await expect(rows(t, 'DELETE FROM audit_events WHERE id = $1', [id])).rejects.toMatchObject(refused)
    await expect(rows(t, 'TRUNCATE audit_events')).rejects.toMatchObject(refused)
  })

  test('an open outcome is settled once, with nothing else; what was made is added to what the line is about', async () => {
    const id = await insert(', outcome, subject_ids', `, NULL, ARRAY['a']`)
    for (const also of [`actor = 'x'`, `subject_ids = ARRAY['b']`, `subject_ids = '{}'`])
      await expect(
        rows(t, `UPDATE audit_events SET outcome = 'done', ${also} WHERE id = $1`, [id]),
        also,
      ).rejects.toMatchObject(refused)
    const settle = `UPDATE audit_events SET outcome = 'done', status = 201, subject_ids = subject_ids || 'b'::text WHERE id = $1`
    await rows(t, settle, [id])
    await expect(rows(t, settle, [id])).rejects.toMatchObject(refused)
  })

  test('a count of refusals grows while its minute lasts, and never shrinks', async () => {
    const of = async (at: string) => {
      const id = uuidv7()
      const line = `INSERT INTO audit_events (id, actor, action, at) VALUES ($1, 'anonymous', 'auth.x', ${at})`
      await rows(t, line, [id])
      return id
    }
    const [now, before] = [await of('now()'), await of(`now() - interval '1 hour'`)]
    const count = (by: string, id: string) => rows(t, `UPDATE audit_events SET count = count ${by} WHERE id = $1`, [id])
    await count('+ 5', now)
    await expect(count('- 1', now)).rejects.toMatchObject(refused)
    await expect(count('+ 1', before)).rejects.toMatchObject(refused)
  })

  test('the job deletes what is older than 400 days, and nothing else', async () => {
    const of = (age: string) => insert(', at', `, now() - interval '${age}'`)
    const [old, young] = [await of('401 days'), await of('399 days')]
    await t.services.audit.purgeAcrossTenants(AbortSignal.timeout(10_000))
    const left = await rows(t, 'SELECT id FROM audit_events WHERE id = ANY($1)', [[old, young]])
    expect(left).toEqual([{ id: young }])
  })

  test('a line that a former version writes is found by its subject', async () => {
    const subject = uuidv7()
    await rows(
      t,
      `INSERT INTO audit_events (id, tenant_id, actor, action, subject_id, request_id, details) VALUES ($1, NULL, 'zoom', 'grant.erased', $2, $3, '{}')`,
      [uuidv7(), subject, unique()],
    )
    const { data } = (await t.api('GET', `/v1/operator/audit?subject_id=${subject}`)).json()
    expect(data).toEqual([expect.objectContaining({ action: 'grant.erased', outcome: 'done', subject_ids: [subject] })])
  })
})
