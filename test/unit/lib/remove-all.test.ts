import { expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { removeAll } from '../../../src/lib/remove-all.ts'

/** Rows that go one by one; `fail` decides how, if at all, a removal fails once its row is gone or not. */
function table(size: number, fail: (id: string) => unknown = () => null) {
  const ids = new Set(Array.from({ length: size }, (_, index) => String(index)))
  const asked: number[] = []
  const idsOf = async (limit: number) => {
    const batch = [...ids].slice(0, limit)
    asked.push(batch.length)
    return batch
  }
  const remove = async (id: string) => {
    const error = fail(id)
    if (error instanceof AppError || error === null) ids.delete(id)
    if (error) throw error
  }
  return { ids, asked, idsOf, remove }
}

test('everything goes, a bounded number at a time', async () => {
  const { ids, asked, idsOf, remove } = table(50)
  await removeAll(idsOf, remove)
  expect([ids.size, asked]).toEqual([0, [20, 20, 10, 0]])
})

test('what somebody else removed meanwhile does not stop it', async () => {
  const { ids, idsOf, remove } = table(3, (id) => (id === '1' ? new AppError('not_found', 'No such host.') : null))
  await removeAll(idsOf, remove)
  expect(ids.size).toBe(0)
})

test('any other failure ends it, after the rest of its batch, and a second call goes on', async () => {
  let isBroken = true
  const { ids, idsOf, remove } = table(30, (id) => (id === '5' && isBroken ? new Error('broken') : null))
  await expect(removeAll(idsOf, remove)).rejects.toThrow('broken')
  expect([ids.has('5'), ids.size]).toEqual([true, 11])
  isBroken = false
  await removeAll(idsOf, remove)
  expect(ids.size).toBe(0)
})
