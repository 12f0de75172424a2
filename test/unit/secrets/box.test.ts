import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  createLocalKeyring,
  dataKeyIdOf,
  rewrapDataKey,
  SealError,
  type WrappedDataKey,
} from '../../../src/lib/sealing.ts'
import { createSecretBox } from '../../../src/secrets/box.ts'

const ring = (kid: string) => ({ kid, key: randomBytes(32) })
const FIRST = ring('first')
const placeOf = (ownerId: string) => ({ ownerId, table: 't', column: 'c', rowId: 'r', generation: 0 })

/** The table `data_keys`, one version per owner, and how often each statement was run. */
function start() {
  const table: WrappedDataKey[] = []
  const asked: string[] = []
  let isKeeping = true
  async function rows({ name }: { name: string }, values: readonly unknown[]) {
    const statement = name.replace(/_[0-9a-f]{12}$/, '')
    asked.push(statement)
    const [id, ownerId, kid, wrapped] = values as [string, string, string, Buffer]
    if (statement === 'data_key_by_owner') return table.filter((row) => row.ownerId === values[0])
    if (statement === 'data_key_by_id') return table.filter((row) => row.id === values[0])
    if (statement === 'data_key_destroy') table.splice(0, table.length, ...table.filter((row) => row.ownerId !== id))
    else if (isKeeping && !table.some((row) => row.ownerId === ownerId)) table.push({ id, ownerId, kid, wrapped })
    return []
  }
  return {
    table,
    asked,
    replica: (keyring = createLocalKeyring([FIRST])) =>
      createSecretBox({ sql: { rows } as never, removals: { rows } as never, keyring }),
    loseWrites: () => {
      isKeeping = false
    },
  }
}

test('an owner’s data key is made with its first value and asked for once, to seal and to open', async () => {
  const { replica, asked, table } = start()
  const box = replica()
  const first = await box.seal(placeOf('a'), 'one')
  expect(asked).toEqual(['data_key_by_owner', 'data_key_insert', 'data_key_by_owner'])
  const second = await box.seal(placeOf('a'), 'two')
  expect(await Promise.all([first, second].map((each) => box.open(placeOf('a'), each)))).toEqual(['one', 'two'])
  expect([asked.length, table.length]).toEqual([3, 1])
  expect(dataKeyIdOf(second)).toBe(table[0]?.id)
})

test('another replica opens with one question, seals under the same key, and writes none of its own', async () => {
  const { replica, asked, table } = start()
  const sealed = await replica().seal(placeOf('a'), 'é🔑')
  const other = replica()
  asked.length = 0
  expect([await other.open(placeOf('a'), sealed), await other.open(placeOf('a'), sealed)]).toEqual(['é🔑', 'é🔑'])
  expect(asked).toEqual(['data_key_by_id'])
  expect(dataKeyIdOf(await other.seal(placeOf('a'), 'x'))).toBe(dataKeyIdOf(sealed))
  expect([asked, table.length]).toEqual([['data_key_by_id', 'data_key_by_owner'], 1])
})

test('two replicas that seal an owner’s first value at once use one key, and read each other', async () => {
  const { replica } = start()
  const [one, other] = [replica(), replica()]
  const [mine, theirs] = await Promise.all([one.seal(placeOf('a'), 'mine'), other.seal(placeOf('a'), 'theirs')])
  expect(dataKeyIdOf(mine)).toBe(dataKeyIdOf(theirs))
  expect([await one.open(placeOf('a'), theirs), await other.open(placeOf('a'), mine)]).toEqual(['theirs', 'mine'])
})

test('a value does not open for another owner, whether or not its key is in memory, nor with a key that is nobody’s', async () => {
  const { replica, table } = start()
  const box = replica()
  const sealed = await box.seal(placeOf('a'), 'secret')
  for (const each of [box, replica()]) {
    const opened = each.open(placeOf('b'), sealed)
    await expect(opened).rejects.toThrow(SealError)
    await expect(opened).rejects.toThrow('The value does not open here')
  }
  table.length = 0
  const opened = replica().open(placeOf('a'), sealed)
  await expect(opened).rejects.toThrow(SealError)
  await expect(opened).rejects.toThrow('The value does not open here')
})

test('a key that the table hands to another owner is not used for them, though this process knows it', async () => {
  const { replica, table } = start()
  const box = replica()
  await box.seal(placeOf('a'), 'secret')
  table.splice(0, 1, { ...(table[0] as WrappedDataKey), ownerId: 'b' })
  await expect(box.seal(placeOf('b'), 'theirs')).rejects.toThrow(SealError)
})

test('what opened a token seals the next one, though its key was since wrapped under one that this process lacks', async () => {
  const { replica, table } = start()
  const sealed = await replica().seal(placeOf('a'), 'old')
  const box = replica()
  expect(await box.open(placeOf('a'), sealed)).toBe('old')
  table[0] = await rewrapDataKey(createLocalKeyring([ring('next'), FIRST]), table[0] as WrappedDataKey)
  expect(dataKeyIdOf(await box.seal(placeOf('a'), 'new'))).toBe(dataKeyIdOf(sealed))
  await expect(replica().open(placeOf('a'), sealed)).rejects.toThrow('ENCRYPTION_KEYS lacks next')
})

test('what was sealed for an owner whose keys were destroyed opens nowhere else again, and what comes next has a new key', async () => {
  const { replica, table } = start()
  const box = replica()
  const [gone, kept] = [await box.seal(placeOf('a'), 'gone'), await box.seal(placeOf('b'), 'kept')]
  await box.destroy('a')
  expect(table.map(({ ownerId }) => ownerId)).toEqual(['b'])
  await expect(replica().open(placeOf('a'), gone)).rejects.toThrow(SealError)
  expect(await replica().open(placeOf('b'), kept)).toBe('kept')
  const next = await box.seal(placeOf('a'), 'next')
  expect(dataKeyIdOf(next)).not.toBe(dataKeyIdOf(gone))
  expect(await replica().open(placeOf('a'), next)).toBe('next')
})

test('nothing is sealed under a key that the database did not keep', async () => {
  const { replica, loseWrites } = start()
  loseWrites()
  const sealed = replica().seal(placeOf('a'), 'x')
  await expect(sealed).rejects.toThrow(SealError)
  await expect(sealed).rejects.toThrow('The owner has no data key')
})
