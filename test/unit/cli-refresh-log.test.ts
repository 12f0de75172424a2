import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readRefreshLog } from '../../src/cli/refresh-log.ts'

const GRANT = '019ab000-0000-7000-8000-000000000001'
const at = (hour: number) => `2026-01-03T0${hour}:00:00.000Z`
const refresh = (gen: number, hour: number, more = {}) =>
  JSON.stringify({ message: 'a refresh ended', outcome: 'ok', grant_id: GRANT, gen, stored_at: at(hour), ...more })

async function read(lines: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'service.log'), lines.join('\n'))
  return await readRefreshLog(join(folder, 'service.log'))
}

test('the line that was stored last counts, not the highest generation: an earlier restore began again lower', async () => {
  expect(await read([refresh(50, 1), refresh(11, 2), refresh(12, 3)])).toEqual([{ grantId: GRANT, gen: 12, at: at(3) }])
})

test('replicas’ logs may come one after the other', async () => {
  expect(await read([refresh(12, 3), refresh(11, 2)])).toEqual([{ grantId: GRANT, gen: 12, at: at(3) }])
})

test('an authorisation ends a pair as a refresh does', async () => {
  const line = JSON.stringify({ message: 'an authorisation was stored', grant_id: GRANT, gen: 4, stored_at: at(1) })
  expect(await read([line])).toEqual([{ grantId: GRANT, gen: 4, at: at(1) }])
})

test('what is cut off, of another kind or spent nothing is passed over', async () => {
  const lines = [
    refresh(1, 1).slice(0, -5),
    'a refresh ended',
    refresh(1, 1, { outcome: 'lost' }),
    refresh(1, 1, { grant_id: "'; DROP TABLE grants" }),
    `app-1 | ${refresh(3, 1)}`,
  ]
  expect(await read(lines)).toEqual([{ grantId: GRANT, gen: 3, at: at(1) }])
})
