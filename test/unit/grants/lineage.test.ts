import { expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { createLineage } from '../../../src/grants/lineage.ts'

/** A database as far as its lineage goes: what it calls itself, and what was noted of that. */
function start() {
  const database = { identity: 'first', plain: 'oids', failWith: null as Error | null, questions: 0 }
  const noted: unknown[][] = []
  let changes = 0
  async function rows(statement: { name: string }, values: unknown[]) {
    if (statement.name.startsWith('lineage_full')) {
      database.questions += 1
      await Promise.resolve()
      if (database.failWith) throw database.failWith
      return [{ identity: database.identity }]
    }
    if (statement.name.startsWith('lineage_plain')) return [{ identity: database.plain }]
    const isChange = noted.some(([kind]) => kind === values[0])
    noted.push(values.slice(0, 2))
    return [{ isChange }]
  }
  const alarms: unknown[] = []
  const lineage = createLineage({
    sql: { rows } as never,
    log: { error: (message: unknown) => alarms.push(message) } as never,
    onChange: () => {
      changes += 1
    },
  })
  return { database, noted, alarms, lineage, changes: () => changes }
}
const withCode = (code: string) => Object.assign(new Error('from the database'), { code })

test('a database that stays the same is noted once and alarms nobody', async () => {
  const { lineage, noted, alarms, changes } = start()
  for (let looks = 0; looks < 3; looks++) await lineage.check()
  expect([noted, alarms, changes()]).toEqual([[['full', 'first']], [], 0])
})

test('another database is one alarm and one change, however many look at once', async () => {
  const { database, lineage, alarms, changes } = start()
  await lineage.check()
  database.identity = 'second'
  const before = database.questions
  await Promise.all(Array.from({ length: 100 }, () => lineage.check()))
  expect([alarms.length, changes(), database.questions - before]).toEqual([1, 1, 1])
})

test.each([
  ['an odd error', withCode('XX000')],
  ['no answer', new AppError('store_unavailable', 'The database did not answer; try again.')],
])('%s says nothing about which database it is', async (_, error) => {
  const { database, lineage, noted, alarms } = start()
  await lineage.check()
  database.failWith = error
  await expect(lineage.check()).rejects.toThrow(error)
  database.failWith = null
  await lineage.check()
  expect([noted, alarms]).toEqual([[['full', 'first']], []])
})

test.each(['42501', '42883', '0A000'])('where the question may not be asked (%s) the oids must do', async (code) => {
  const { database, lineage, noted, alarms } = start()
  database.failWith = withCode(code)
  await lineage.check()
  expect([noted, alarms]).toEqual([[['plain', 'oids']], []])
  database.plain = 'other oids'
  await lineage.check()
  expect(alarms).toHaveLength(1)
})
