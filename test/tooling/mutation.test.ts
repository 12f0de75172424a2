import { globSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { GROUPS } from '../../mutation/groups.ts'

const root = join(import.meta.dirname, '..', '..')

// Stryker passes over a name that is no file, and CI does not run it: a renamed file would no longer be measured
test.each(Object.entries(GROUPS))('every file that mutation testing of %s names is there', (_, { mutate, tests }) => {
  const missing = [...mutate, ...tests].filter((pattern) => globSync(pattern, { cwd: root }).length === 0)
  expect(missing).toEqual([])
})
