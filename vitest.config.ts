import { defineConfig } from 'vitest/config'
import { LastLineReporter } from './test/helpers/last-line-reporter.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    passWithNoTests: false,
    globalSetup: ['test/global-setup.ts'],
    reporters: ['default', new LastLineReporter()],
    pool: 'forks',
    maxWorkers: 2, // each test file starts apps and a simulator; more of them at once starve each other of CPU
    sequence: { shuffle: { files: true } },
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
