import { expect, test } from 'vitest'
import { dataKeyIdOf, newDataKey } from '../../src/lib/sealing.ts'
import { createSecretBox } from '../../src/secrets/box.ts'
import { buildTestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { ringOf } from '../helpers/population.ts'

test('a newer data key of an owner seals what is new, and what the former one sealed stays readable', async () => {
  const t = await buildTestApp()
  const [ownerId, keyring] = [crypto.randomUUID(), ringOf(String(t.settings.ENCRYPTION_KEYS))]
  const place = { ownerId, table: 'x', column: 'y', rowId: 'z', generation: 0 }
  const before = await createSecretBox({ sql: t.app.sql, removals: t.app.sql, keyring }).seal(place, 'old')
  const { id, kid, wrapped } = await newDataKey(keyring, ownerId)
  const insert = 'INSERT INTO data_keys (id, owner_id, version, kid, wrapped) VALUES ($1, $2, 2, $3, $4)'
  await rows(t, insert, [id, ownerId, kid, wrapped])
  const box = createSecretBox({ sql: t.app.sql, removals: t.app.sql, keyring })
  const after = await box.seal(place, 'new')
  expect([dataKeyIdOf(after), dataKeyIdOf(before) === id]).toEqual([id, false])
  expect([await box.open(place, before), await box.open(place, after)]).toEqual(['old', 'new'])
})
