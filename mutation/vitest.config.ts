import { defineConfig } from 'vitest/config'
import { GROUPS } from './groups.ts'

/** The tests of one group, as vitest.config.ts would run them, without its database and its shuffling. */
export default defineConfig({
  test: {
    include: GROUPS[process.env.MUTATION_GROUP ?? '']?.tests ?? [],
    passWithNoTests: false,
    pool: 'forks',
    testTimeout: 30_000,
  },
})
