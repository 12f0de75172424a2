import { expect, test } from 'vitest'
import { createTestDatabase } from '../helpers/database.ts'
import { complaintsOf } from './report.ts'
import { runSoak } from './soak.ts'

test('a short seeded soak of kills, cuts and faults ends with no silent loss and no wrong label', async () => {
  const database = await createTestDatabase()
  const report = await runSoak({ databaseUrl: database.ownerUrl, seconds: 20, seed: 20261124, replicas: 2, hosts: 8 })
  await database.drop()
  expect(complaintsOf(report)).toEqual([])
  expect(report.kills).toBeGreaterThan(0)
  expect(report.refreshes).toBeGreaterThan(0)
  expect(report.mints).toBeGreaterThan(0)
}, 180_000)
