import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type ImportOptions, importFile } from '../../src/cli/import.ts'
import type { Source } from '../../src/cli/import-sources.ts'
import { rows } from '../helpers/connect.ts'
import { type Elsewhere, endClaims, newElsewhere, newImporter, presented } from '../helpers/import.ts'
import { vaultApp } from '../helpers/vault.ts'

const t = await vaultApp()

async function run(source: Source, content: string, options: ImportOptions, signal = new AbortController().signal) {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-import-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const file = join(directory, 'export')
  await writeFile(file, content)
  const lines: string[] = []
  const terminal = { say: (line: string) => void lines.push(line), draw: null, columns: 80 }
  const isDone = await importFile({ ...t.settings, LOG_LEVEL: 'error' }, { source, file, options }, terminal, signal)
  return { isDone, said: lines.join('\n') }
}

const csv = (hosts: Elsewhere[]) =>
  ['external_user_id,refresh_token', ...hosts.map((host) => `${host.externalUserId},${host.refreshToken}`)].join('\n')

test('a file of hosts is connected and proven: each is read back, and Zoom took its access token', async () => {
  const tenant = await newImporter(t)
  const hosts = await Promise.all(Array.from({ length: 20 }, () => newElsewhere(t)))
  const { isDone, said } = await run('csv', csv(hosts), { tenant: tenant.id })
  expect(said).toContain('Verified: 20 hosts read back, Zoom took 20 of their access tokens;')
  expect([isDone, (await tenant.hosts()).length]).toEqual([true, 20])
  expect(hosts.map((host) => presented(t, host))).toEqual(hosts.map(() => 1))
  for (const { refreshToken } of hosts) expect(said).not.toContain(refreshToken)
})

test('run again, it redeems and renews nothing, also where the access tokens have ended since', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  await run('csv', csv([host]), { tenant: tenant.id })
  await rows(t, `UPDATE grant_tokens SET access_expires_at = now() - interval '1 s'`)
  const { isDone, said } = await run('csv', csv([host]), { tenant: tenant.id })
  expect([isDone, presented(t, host)]).toEqual([true, 1])
  expect(said).toContain('1 have ended since')
})

test('a dry run sends nothing to Zoom and says what would be refused', async () => {
  const tenant = await newImporter(t)
  const [known, fresh] = [await newElsewhere(t), await newElsewhere(t)]
  await tenant.importAll([known])
  const wrong = { ...(await newElsewhere(t)), externalUserId: 'somebody' }
  await tenant.importAll([{ ...(await newElsewhere(t)), externalUserId: 'somebody' }])
  const before = t.zoom.log().length
  const { isDone, said } = await run('csv', csv([known, fresh, wrong]), { tenant: tenant.id, dryRun: true })
  expect(t.zoom.log()).toHaveLength(before)
  expect(said).toContain('1 would be redeemed, 1 were imported before,')
  expect(said).toContain('line 4  "somebody"  other_zoom_user')
  expect(isDone).toBe(false)
})

test('one faulty row holds back the whole file', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  const { isDone, said } = await run('csv', `${csv([host])}\nno-token,`, { tenant: tenant.id })
  expect([isDone, presented(t, host)]).toEqual([false, 0])
  expect(said).toContain('line 3: no refresh_token')
})

test('what is deferred is tried again until it is connected', async () => {
  const tenant = await newImporter(t)
  const host = await newElsewhere(t)
  const limit = { type: 'status', status: 429, headers: { 'retry-after': '1' } } as const
  t.zoom.setFault({ match: { grant_type: 'refresh_token', user_id: host.email }, action: limit })
  const { isDone } = await run('csv', csv([host]), { tenant: tenant.id })
  expect([isDone, presented(t, host)]).toEqual([true, 2])
}, 20_000)

test('a rejected host is named with its line and its reason, the others are connected, and the command fails', async () => {
  const tenant = await newImporter(t)
  const [good, dead] = [await newElsewhere(t), await newElsewhere(t)]
  t.zoom.revokeGrant(dead.email)
  const { isDone, said } = await run('csv', csv([good, dead]), { tenant: tenant.id })
  expect(isDone).toBe(false)
  expect(said).toContain(`line 3  "${dead.externalUserId}"  rejected_by_zoom`)
  expect(said).toContain('2 hosts: connected 1, rejected 1, deferred 0.')
})

test('interrupted, it finishes what is under way and leaves the rest for the next run', async () => {
  const tenant = await newImporter(t)
  const hosts = await Promise.all(Array.from({ length: 40 }, () => newElsewhere(t)))
  const stopping = new AbortController()
  const hold = t.zoom.setFault({
    match: { grant_type: 'refresh_token', user_id: String(hosts[0]?.email) },
    action: { type: 'hold' },
  })
  const first = run('csv', csv(hosts), { tenant: tenant.id }, stopping.signal)
  await hold.hit(1)
  stopping.abort()
  hold.release()
  const { isDone, said } = await first
  expect([isDone, said.includes('Interrupted.')]).toEqual([false, true])
  const connected = (await tenant.hosts()).length
  expect(connected).toBeGreaterThan(0)
  expect(connected).toBeLessThan(40)
  await endClaims(t)
  expect((await run('csv', csv(hosts), { tenant: tenant.id })).isDone).toBe(true)
  expect(hosts.map((host) => presented(t, host))).toEqual(hosts.map(() => 1))
}, 30_000)

test('an unknown tenant is named before anything is sent', async () => {
  const host = await newElsewhere(t)
  await expect(run('csv', csv([host]), { tenant: 'nobody' })).rejects.toMatchObject({ code: 'not_found' })
  expect(presented(t, host)).toBe(0)
})

test('a connection exported from Nango and one from Attendee are imported alike', async () => {
  const tenant = await newImporter(t)
  const [one, other] = [await newElsewhere(t), await newElsewhere(t)]
  const nango = [
    { connection_id: 'c', end_user: { id: one.externalUserId }, credentials: { refresh_token: one.refreshToken } },
  ]
  const attendee = { user_id: 'z', state: 1, metadata: { id: other.externalUserId }, refresh_token: other.refreshToken }
  const options = { tenant: tenant.id }
  expect((await run('nango', JSON.stringify(nango), options)).isDone).toBe(true)
  const fromMetadata = { ...options, externalUserId: 'metadata.id' }
  expect((await run('attendee', JSON.stringify(attendee), fromMetadata)).isDone).toBe(true)
  expect((await tenant.hosts()).map((host) => host.status)).toEqual(['connected', 'connected'])
})
