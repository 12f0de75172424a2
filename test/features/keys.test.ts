import { randomBytes } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { keysForget, keysRotate, keysStatus } from '../../src/cli/keys.ts'
import { createSecretBox } from '../../src/secrets/box.ts'
import { createKeyRotation } from '../../src/secrets/key-rotation.ts'
import { buildTestApp, type TestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { newTenantWithKey } from '../helpers/management.ts'
import { ringOf } from '../helpers/population.ts'
import { expireAccessToken, grantRow, newVaultHost, refreshCalls, secondReplica, told } from '../helpers/vault.ts'

const keyOf = (kid: string) => `${kid}:${randomBytes(32).toString('base64')}`
const NEW = keyOf('new')
const former = (t: TestApp) => String(t.settings.ENCRYPTION_KEYS)

/** What a command says, and its verdict. */
async function command(
  t: TestApp,
  keys: string,
  work: (env: Record<string, string>, say: (line: string) => void) => Promise<boolean>,
) {
  const lines: string[] = []
  const isGood = await work({ ...t.settings, ENCRYPTION_KEYS: keys }, (line) => lines.push(line))
  return { isGood, text: lines.join('\n'), lines }
}
const rotate = (t: TestApp, keys = `${NEW},${former(t)}`) => command(t, keys, keysRotate)
const status = (t: TestApp, keys: string, options = { verify: true }) =>
  command(t, keys, (env, say) => keysStatus(env, options, say))
async function replicaWith(t: TestApp, keys: string) {
  const replica = await secondReplica(t, { ENCRYPTION_KEYS: keys })
  onTestFinished(() => replica.app.close())
  return replica
}
const kids = (t: TestApp) =>
  rows<{ kid: string; n: number }>(t, 'SELECT kid, count(*)::int AS n FROM data_keys GROUP BY kid ORDER BY kid')

describe('latchkey keys rotate', () => {
  test('leaves no data key under the old key, after which the new one alone serves every grant, app and answer', async () => {
    const t = await buildTestApp()
    const host = await newVaultHost(t)
    const tenant = await newTenantWithKey(t)
    const app = { client_id: 'rotated-app', client_secret: 'rotated-secret', tenant_id: tenant.id }
    const created = await t.api('POST', '/v1/zoom-apps', { body: app, headers: { 'idempotency-key': 'once' } })
    const said = await rotate(t)
    expect(said).toMatchObject({ isGood: true, text: expect.stringContaining('Every data key is wrapped under new') })
    expect(await kids(t)).toEqual([{ kid: 'new', n: 4 }]) // of the grant, two tenants and the operator
    const replica = await replicaWith(t, NEW)
    await expireAccessToken(t, host)
    expect(told(await replica.bot(host.joinUrl))).toEqual([200])
    expect(await replica.services.zoomApps.credentialsOf(created.json().id)).toMatchObject({
      clientSecrets: ['rotated-secret'],
    })
    const headers = { authorization: `Bearer ${t.settings.OPERATOR_API_KEY}`, 'idempotency-key': 'once' }
    const again = await replica.app.inject({ method: 'POST', url: '/v1/zoom-apps', payload: app, headers })
    expect([again.statusCode, again.body]).toEqual([201, created.body])
  })

  test('is not noticed by a process that has both keys, whichever of them is first', async () => {
    const t = await buildTestApp()
    const host = await newVaultHost(t)
    const [first, second] = [await replicaWith(t, `${NEW},${former(t)}`), await replicaWith(t, `${former(t)},${NEW}`)]
    await rotate(t)
    for (const replica of [first, second]) {
      await expireAccessToken(t, host)
      expect(told(await replica.bot(host.joinUrl))).toEqual([200])
    }
    expect(refreshCalls(t, host)).toBe(2)
  })

  test('may run twice at once, and again: two runs share the work, a later one finds none', async () => {
    const t = await buildTestApp()
    await seedDataKeys(t, 1200)
    const [one, two] = await Promise.all([rotate(t), rotate(t)])
    expect([one.isGood, two.isGood]).toEqual([true, true])
    expect(await kids(t)).toEqual([{ kid: 'new', n: 1200 }])
    expect((await rotate(t)).text).toContain('0 data keys were wrapped anew')
    expect((await status(t, NEW)).text).toContain('1200 of 1200 data keys open')
  })

  test('takes data keys along that a replica with the old key first makes meanwhile, and says so', async () => {
    const t = await buildTestApp()
    await seedDataKeys(t, 600)
    const box = createSecretBox({ sql: t.app.sql, removals: t.app.sql, keyring: ringOf(former(t), NEW) })
    const rotation = createKeyRotation({ sql: t.app.sql, keyring: ringOf(NEW, former(t)) })
    let made = 0
    const late = crypto.randomUUID()
    const result = await rotation.rotate(() => {
      if (made++ === 0) void box.seal({ ownerId: late, table: 'x', column: 'y', rowId: 'z', generation: 0 }, 'late')
    })
    expect(result).toMatchObject({ rewrapped: 601, madeMeanwhile: 1, left: 0, broken: [] })
    expect(await kids(t)).toEqual([{ kid: 'new', n: 601 }])
  })

  test('waits for nobody who holds a data key: it counts what is left, and the next run takes that', async () => {
    const t = await buildTestApp()
    await seedDataKeys(t, 3)
    const rotation = createKeyRotation({ sql: t.app.sql, keyring: ringOf(NEW, former(t)), pauseMs: 5 })
    const holder = await t.admin.connect()
    onTestFinished(() => holder.release())
    await holder.query('BEGIN')
    await holder.query('SELECT FROM data_keys ORDER BY id LIMIT 1 FOR UPDATE')
    expect(await rotation.rotate(() => {})).toMatchObject({ rewrapped: 2, left: 1, broken: [] })
    await holder.query('COMMIT')
    expect((await rotate(t)).isGood).toBe(true)
  })

  test('moves what it can past a data key that does not open, names that one, and changes nothing of it', async () => {
    const t = await buildTestApp()
    await seedDataKeys(t, 3)
    const [broken] = await rows<{ id: string }>(
      t,
      `UPDATE data_keys SET wrapped = set_byte(wrapped, 19, get_byte(wrapped, 19) # 1)
        WHERE id = (SELECT min(id::text)::uuid FROM data_keys) RETURNING id`,
    )
    const said = await rotate(t)
    expect(said).toMatchObject({ isGood: false, text: expect.stringContaining(String(broken?.id)) })
    expect(await kids(t)).toEqual([
      { kid: 'new', n: 2 },
      { kid: 'test', n: 1 },
    ])
    const left = '1 data keys are still under another key'
    expect([said.text, (await status(t, `${NEW},${former(t)}`)).text]).toEqual([
      expect.stringContaining(left),
      expect.stringContaining('2 of 3 data keys open'),
    ])
  })

  test('refuses, naming the key id and before anything is changed, where a key is missing or is another one', async () => {
    const t = await buildTestApp()
    await newVaultHost(t)
    const before = await rows(t, 'SELECT * FROM data_keys')
    await expect(rotate(t, NEW)).rejects.toThrow('ENCRYPTION_KEYS lacks test')
    await expect(rotate(t, `${NEW},${keyOf('test')}`)).rejects.toThrow('the key test is not the one')
    expect(await rows(t, 'SELECT * FROM data_keys')).toEqual(before)
  })

  test('leaves a line of who rotated what in the audit trail', async () => {
    const t = await buildTestApp()
    await newVaultHost(t)
    await rotate(t)
    expect(
      await rows(t, `SELECT actor, action, details FROM audit_events WHERE actor = 'cli' ORDER BY at`),
    ).toMatchObject([
      { actor: 'cli', action: 'keys.rotation_started', details: { kid: 'new' } },
      { actor: 'cli', action: 'keys.rotated', details: { kid: 'new', rewrapped: 2, left: 0 } },
    ])
  })
})

describe('latchkey keys status', () => {
  test('says for every key how many data keys need it, and which may be removed', async () => {
    const t = await buildTestApp()
    await newVaultHost(t)
    const before = await status(t, `${NEW},${former(t)}`)
    expect(before.isGood).toBe(true)
    expect(before.lines).toEqual([
      expect.stringMatching(/^new {2}0 data keys {2}wraps what is new/),
      expect.stringMatching(/^test {2}2 data keys {2}latchkey keys rotate/),
      '2 of 2 data keys open.',
    ])
    await rotate(t)
    const after = await status(t, `${NEW},${former(t)}`)
    expect(after.lines[1]).toMatch(/^test {2}0 data keys {2}may be removed/)
  })

  test('names a key that is missing or another one, and fails', async () => {
    const t = await buildTestApp()
    await newVaultHost(t)
    const missing = await status(t, NEW)
    expect(missing).toMatchObject({ isGood: false, text: expect.stringMatching(/test {2}2 data keys {2}MISSING/) })
    expect(missing.text).toContain('ENCRYPTION_KEYS lacks test')
    const swapped = await status(t, keyOf('test'))
    expect(swapped).toMatchObject({ isGood: false, text: expect.stringMatching(/test {2}2 data keys {2}SWAPPED/) })
  })

  test('tells programs the same as JSON', async () => {
    const t = await buildTestApp()
    await newVaultHost(t)
    const said = await command(t, former(t), (env, say) => keysStatus(env, { json: true, verify: true }, say))
    expect(JSON.parse(said.text)).toEqual({
      is_sound: true,
      keys: [{ kid: 'test', state: 'first', data_keys: 2 }],
      verified: { data_keys: 2, broken: [] },
    })
  })
})

describe('the id of a key', () => {
  test('is taken by its first value, also where the key is not the first: a mistyped one is refused at the next start', async () => {
    const t = await buildTestApp()
    await replicaWith(t, `${former(t)},${NEW}`)
    const mistyped = keyOf('new')
    await expect(secondReplica(t, { ENCRYPTION_KEYS: `${former(t)},${mistyped}` })).rejects.toThrow(
      'the key new is not',
    )
    await expect(rotate(t, `${mistyped},${former(t)}`)).rejects.toThrow('the key new is not')
  })

  test('stays taken after the key was rotated out, so that another key never answers to it', async () => {
    const t = await buildTestApp()
    await rotate(t)
    await expect(secondReplica(t, { ENCRYPTION_KEYS: `${NEW},${keyOf('test')}` })).rejects.toThrow(
      'the key test is not',
    )
  })

  test('is free again once latchkey keys forget was told to, which it refuses for a key in use', async () => {
    const t = await buildTestApp()
    await newVaultHost(t)
    await replicaWith(t, `${former(t)},${keyOf('new')}`)
    const forget = (kid: string) => command(t, former(t), (env, say) => keysForget(env, kid, say))
    expect((await forget('test')).isGood).toBe(false)
    expect((await forget('new')).isGood).toBe(true)
    await replicaWith(t, `${former(t)},${NEW}`)
  })
})

describe('a replica that was not given the new key before the rotation', () => {
  test('raises the alarm once, spends no refresh token whose pair it could not seal, and loses none', async () => {
    const t = await buildTestApp()
    const [known, unknown] = [await newVaultHost(t), await newVaultHost(t)]
    const late = await replicaWith(t, former(t))
    await rotate(t)
    const answer = await late.bot(unknown.joinUrl)
    expect(told(answer)).toEqual([500, 'internal_error'])
    for (const host of [known, unknown]) {
      await expireAccessToken(t, host)
      await late.bot(host.joinUrl)
      expect(refreshCalls(t, host)).toBe(0)
      expect(await grantRow(t, host)).toMatchObject({ status: 'connected', isIntentOpen: false, leaseSeconds: 0 })
    }
    for (let looks = 0; looks < 3; looks++) await late.services.keyWatch.look()
    const alarms = late.log.map((line) => JSON.parse(line)).filter(({ level, kid }) => level === 'error' && kid)
    expect([late.log.join(''), alarms.map(({ kid }) => kid)]).toEqual([
      expect.stringContaining('ENCRYPTION_KEYS lacks new'),
      ['new'],
    ])
    const whole = await replicaWith(t, NEW)
    for (const host of [known, unknown]) expect(told(await whole.bot(host.joinUrl))).toEqual([200])
  })

  test('goes on with the grants whose keys it has in memory, rotations included', async () => {
    const t = await buildTestApp()
    const host = await newVaultHost(t)
    const late = await replicaWith(t, former(t))
    expect(told(await late.bot(host.joinUrl))).toEqual([200])
    await rotate(t)
    await expireAccessToken(t, host)
    expect(told(await late.bot(host.joinUrl))).toEqual([200])
    expect(await grantRow(t, host)).toMatchObject({ status: 'connected', gen: 2, isIntentOpen: false })
  })
})

test('a list’s cursor outlives the rotation, and ends with the key that made it', async () => {
  const t = await buildTestApp()
  const tenant = await newTenantWithKey(t)
  for (const name of ['a', 'b', 'c']) await t.api('POST', `/v1/tenants/${tenant.id}/api-keys`, { body: { name } })
  const url = `/v1/tenants/${tenant.id}/api-keys?limit=1`
  const { next_cursor: cursor } = (await t.api('GET', url)).json()
  const headers = { authorization: `Bearer ${t.settings.OPERATOR_API_KEY}` }
  const page = async (keys: string) => {
    const { app } = await replicaWith(t, keys)
    return (await app.inject({ url: `${url}&cursor=${cursor}`, headers })).statusCode
  }
  expect(await page(`${NEW},${former(t)}`)).toBe(200)
  expect(await page(NEW)).toBe(400)
})

test('an operator’s key is rotated with two in the list: both work, then the new one alone', async () => {
  const t = await buildTestApp()
  const [was, will] = [String(t.settings.OPERATOR_API_KEY), randomBytes(24).toString('hex')]
  const statuses = async (list: string) => {
    const { app } = await secondReplica(t, { OPERATOR_API_KEY: list })
    onTestFinished(() => app.close())
    const as = (key: string) => app.inject({ url: '/v1/tenants', headers: { authorization: `Bearer ${key}` } })
    return (await Promise.all([as(was), as(will)])).map(({ statusCode }) => statusCode)
  }
  expect(await statuses(`${will},${was}`)).toEqual([200, 200])
  expect(await statuses(will)).toEqual([401, 200])
})

/** Data keys of nobody, under the key of the test's service. */
async function seedDataKeys(t: TestApp, count: number) {
  const box = createSecretBox({ sql: t.app.sql, removals: t.app.sql, keyring: ringOf(former(t)) })
  const owners = Array.from({ length: count }, () => crypto.randomUUID())
  const place = { table: 'x', column: 'y', rowId: 'z', generation: 0 }
  await Promise.all(owners.map((ownerId) => box.seal({ ...place, ownerId }, 'value')))
}
