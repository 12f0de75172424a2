import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { doctor, markRestored } from '../../src/cli/grants.ts'
import { buildTestApp, type TestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { backUp } from '../helpers/database.ts'
import {
  expireAccessToken,
  grantRow,
  holdsLivingPair,
  newVaultHost,
  refreshCalls,
  refreshFault,
  secondReplica,
  told,
  type VaultHost,
} from '../helpers/vault.ts'

const RESTORED = { status: 'reconnect_required', reason: 'restored_backup' }

async function replicaOf(t: TestApp) {
  const replica = await secondReplica(t)
  onTestFinished(() => replica.app.close())
  return replica
}
async function backUpOf(t: TestApp) {
  const backup = await backUp(t.databaseUrl)
  onTestFinished(backup.drop)
  return backup
}
/** The database answers every connection again: those that were cut are found dead one by one. */
const isBack = ({ app }: Pick<TestApp, 'app'>) =>
  expect.poll(async () => (await app.inject({ url: '/readyz' })).statusCode, { timeout: 10_000 }).toBe(200)
const mint = async (t: Pick<TestApp, 'bot'>, host: VaultHost) => told(await t.bot(host.joinUrl))
async function refresh(t: TestApp, host: VaultHost, via: Pick<TestApp, 'bot'> = t) {
  await expireAccessToken(t, host)
  expect(await mint(via, host)).toEqual([200])
}
const alarms = (log: string[], part: string) => log.filter((line) => line.includes(part)).length
const reconnect = async (t: TestApp, { externalUserId, email }: VaultHost) =>
  expect((await t.follow(await t.connectLink({ external_user_id: externalUserId }), email)).statusCode).toBe(200)

test('a rotation that the database lost is put back by the replica that made it, and bots go on', async () => {
  const t = await buildTestApp()
  const host = await newVaultHost(t)
  const backup = await backUpOf(t)
  await isBack(t)
  await refresh(t, host)
  await refresh(t, host)
  const before = refreshCalls(t, host)
  await backup.restore()
  await isBack(t)
  await expect.poll(() => grantRow(t, host)).toMatchObject({ status: 'connected', gen: 3 })
  expect(await mint(t, host)).toEqual([200])
  expect(refreshCalls(t, host)).toBe(before)
  expect(alarms(t.log, 'database_went_backwards: a lost rotation was put back')).toBe(1)
  expect(await holdsLivingPair(t, host)).toBe(true)
})

test('where the pair is gone the grant is marked restored_backup, and the dead token is not spent', async () => {
  const t = await buildTestApp()
  const host = await newVaultHost(t)
  const other = await secondReplica(t)
  const backup = await backUpOf(t)
  await isBack(t)
  await refresh(t, host, other)
  await other.app.close() // it had the pair; this one has only seen that there was a later generation
  expect(await mint(t, host)).toEqual([200])
  const before = refreshCalls(t, host)
  await backup.restore()
  await isBack(t)
  expect(await mint(t, host)).toEqual([404, 'reconnect_required'])
  expect(refreshCalls(t, host)).toBe(before)
  expect(await grantRow(t, host)).toMatchObject(RESTORED)
  const shown = (await t.api('GET', `/v1/hosts/${host.hostId}`)).json()
  expect([shown.status, shown.status_reason]).toEqual(['reconnect_required', 'restored_backup'])
  expect(alarms(t.log, 'database_went_backwards: a grant must reconnect')).toBe(1)

  await reconnect(t, host)
  expect(await mint(t, host)).toEqual([200])
  expect(await holdsLivingPair(t, host)).toBe(true)
  expect(alarms(t.log, 'database_went_backwards')).toBe(1)
})

test('a row put back alone is betrayed by the history beside it, also to a process that has seen nothing', async () => {
  const t = await buildTestApp()
  const host = await newVaultHost(t)
  await rows(t, 'CREATE TABLE saved AS SELECT * FROM grant_tokens')
  await refresh(t, host)
  await refresh(t, host)
  await rows(t, 'DELETE FROM grant_tokens')
  await rows(t, 'INSERT INTO grant_tokens SELECT * FROM saved')
  await expireAccessToken(t, host)
  const fresh = await replicaOf(t)
  const before = refreshCalls(t, host)
  expect(await mint(fresh, host)).toEqual([404, 'reconnect_required'])
  expect(refreshCalls(t, host)).toBe(before)
  expect(await grantRow(t, host)).toMatchObject({ ...RESTORED, isIntentOpen: false })
  await reconnect(t, host)
  await refresh(t, host, fresh)
})

test('after a restore, with all processes new: what was rotated since says restored_backup, what was not goes on', async () => {
  const t = await buildTestApp()
  const [rotated, untouched, removed] = [await newVaultHost(t), await newVaultHost(t), await newVaultHost(t)]
  const backup = await backUpOf(t)
  await isBack(t)
  await refresh(t, rotated)
  await t.app.close()
  await backup.restore()
  const fresh = await replicaOf(t)
  expect(alarms(fresh.log, 'the database is not the one it was')).toBe(1)
  expect(alarms((await replicaOf(t)).log, 'the database is not the one it was')).toBe(0)
  const revived = { ...t, ...fresh }
  await refresh(revived, untouched)
  await expireAccessToken(revived, rotated)
  expect(await mint(fresh, rotated)).toEqual([404, 'reconnect_required'])
  expect(await grantRow(revived, rotated)).toMatchObject(RESTORED)
  // what was renewed since the restore is judged as ever
  await refresh(revived, removed)
  t.zoom.revokeGrant(removed.email)
  await expireAccessToken(revived, removed)
  expect(await mint(fresh, removed)).toEqual([404, 'reconnect_required'])
  expect(await grantRow(revived, removed)).toMatchObject({ reason: 'rejected_by_zoom' })
})

test('latchkey grants doctor lists whom a log proves lost, mark-restored marks exactly those, and a reconnect ends it', async () => {
  const t = await buildTestApp()
  const [rotated, untouched] = [await newVaultHost(t), await newVaultHost(t)]
  const backup = await backUpOf(t)
  await isBack(t)
  await refresh(t, rotated)
  const file = join(await mkdtemp(join(tmpdir(), 'latchkey-')), 'service.log')
  await writeFile(file, ['not json', ...t.log.map((line) => `collector: ${line}`)].join('\n'))
  await t.app.close()
  await backup.restore()

  const said: string[] = []
  const say = (line: string) => said.push(line)
  const text = () => said.splice(0).join('\n')
  await doctor(t.settings, { log: file }, say)
  const found = text()
  expect(found).toContain('Hosts to reconnect: 0')
  expect(found).toContain('the database changed; their first refresh tells: 2')
  expect(found).toMatch(/Rotated after the backup, by the log.*: 1\n/)
  expect(found).toMatch(new RegExp(`default {2}host ${rotated.hostId} .*rotated after the backup`))

  await markRestored(t.settings, { log: file }, say)
  expect(text()).toContain('the last rotation of 2 grants; 1 of them are marked restored_backup')
  const fresh = await replicaOf(t)
  const revived = { ...t, ...fresh }
  expect(await grantRow(revived, rotated)).toMatchObject({ ...RESTORED, gen: 1 })
  expect(await grantRow(revived, untouched)).toMatchObject({ status: 'connected' })
  await doctor(t.settings, { json: true, log: file }, say)
  expect(JSON.parse(text())).toMatchObject({
    foreign_database: false,
    to_reconnect: [{ tenant: 'default', kind: 'host', id: rotated.hostId, reason: 'restored_backup' }],
    doubtful: [{ id: untouched.hostId }],
    rotated_after_backup: [],
  })
})

test('a restored copy under another INSTALLATION_ID is left alone: its rows are neither healed nor condemned', async () => {
  const t = await buildTestApp()
  const host = await newVaultHost(t)
  const backup = await backUpOf(t)
  await isBack(t)
  await refresh(t, host)
  const copy = await secondReplica(t, { DATABASE_URL: backup.url, INSTALLATION_ID: 'staging' })
  onTestFinished(() => copy.app.close())
  const admin = new pg.Pool({ connectionString: backup.adminUrl, max: 1 })
  onTestFinished(() => admin.end())
  const behind = { ...t, ...copy, admin } as TestApp
  await rows(behind, 'UPDATE grant_tokens SET access_expires_at = now()')
  expect(await mint(copy, host)).toEqual([503, 'foreign_database'])
  expect(await grantRow(behind, host)).toMatchObject({ status: 'connected', gen: 1 })
})

/** Puts every row of grants back to what it was, and the history too: a commit that was confirmed and lost. */
async function rewind(t: TestApp) {
  await rows(t, 'CREATE TABLE saved AS SELECT * FROM grant_tokens')
  return async () => {
    await rows(t, 'DELETE FROM refresh_attempts')
    await rows(t, 'DELETE FROM grant_tokens')
    await rows(t, 'INSERT INTO grant_tokens SELECT * FROM saved')
  }
}

test('a pair that is in hand while the database goes back is stored all the same', async () => {
  const t = await buildTestApp()
  const host = await newVaultHost(t)
  const goBack = await rewind(t)
  await refresh(t, host)
  const other = await replicaOf(t)
  await expireAccessToken(t, host)
  const held = refreshFault(t, host, { type: 'hold' }, { effect: 'before' })
  const answer = other.bot(host.joinUrl)
  await held.hit()
  await goBack()
  held.release()
  expect(told(await answer)).toEqual([200])
  expect(await grantRow(t, host)).toMatchObject({ status: 'connected', gen: 3 })
  expect(alarms(other.log, 'database_went_backwards: a lost rotation was put back')).toBe(1)
  expect(await holdsLivingPair(t, host)).toBe(true)
})

test('the replica that has the pair puts it back although another met the row first and condemned it', async () => {
  const t = await buildTestApp()
  const host = await newVaultHost(t)
  const goBack = await rewind(t)
  await refresh(t, host)
  const other = await replicaOf(t)
  expect(await mint(other, host)).toEqual([200])
  await goBack()
  expect(await mint(other, host)).toEqual([404, 'reconnect_required'])
  await t.services.grantUpkeep.sweepAcrossTenants()
  expect(await mint(other, host)).toEqual([200])
  expect(await holdsLivingPair(t, host)).toBe(true)
})

test('a lost reconnect that is put back gives no tenant its bots back that the user had withdrawn from', async () => {
  const t = await buildTestApp()
  const b = await newTenant(t)
  const host = await newVaultHost(t)
  await t.connectHost('of-b', host.email, b.headers)
  t.zoom.revokeGrant(host.email)
  await expireAccessToken(t, host)
  expect(await mint(t, host)).toEqual([404, 'reconnect_required'])
  const goBack = await rewind(t)
  const link = await t.connectLink({ external_user_id: 'of-b' }, b.headers)
  expect((await t.follow(link, host.email)).statusCode).toBe(200)
  expect(await mint(t, host)).toEqual([404, 'reconnect_required'])
  await goBack()
  await t.services.grantUpkeep.sweepAcrossTenants()
  expect(await grantRow(t, host)).toMatchObject({ status: 'connected' })
  expect(await mint(t, host)).toEqual([404, 'reconnect_required'])
})

test('the alarm of a restore is raised by the service although the doctor looked first', async () => {
  const t = await buildTestApp()
  const host = await newVaultHost(t)
  const backup = await backUpOf(t)
  await isBack(t)
  await backup.restore()
  const said: string[] = []
  await doctor(t.settings, {}, (line) => said.push(line))
  expect(said.join('\n')).toMatch(new RegExp(`their first refresh tells: 1\n.*${host.hostId}`))
  await isBack(t)
  expect(alarms(t.log, 'the database is not the one it was')).toBe(1)
})

test('a restore that nothing in the database tells of is noted by mark-restored', async () => {
  const t = await buildTestApp()
  const host = await newVaultHost(t)
  await refresh(t, host)
  t.zoom.revokeGrant(host.email) // stands for the rotations that the restored disk does not know
  const file = join(await mkdtemp(join(tmpdir(), 'latchkey-')), 'empty.log')
  await writeFile(file, '')
  await markRestored(t.settings, { log: file }, () => {})
  const fresh = await replicaOf(t)
  await expireAccessToken(t, host)
  expect(await mint(fresh, host)).toEqual([404, 'reconnect_required'])
  expect(await grantRow(t, host)).toMatchObject(RESTORED)
})
