// Plain JavaScript, which is what Stryker reads. `npm run mutate` names the group.
import { GROUPS } from './groups.ts'

const name = process.env.MUTATION_GROUP ?? ''

export default {
  mutate: GROUPS[name]?.mutate ?? [],
  testRunner: 'vitest',
  vitest: { configFile: 'mutation/vitest.config.ts' },
  coverageAnalysis: 'perTest',
  concurrency: 1,
  // TypeScript 7 has no API for JavaScript, with which Stryker would rewrite tsconfig.json: there is none for it to find
  tsconfigFile: 'none.json',
  ignorePatterns: ['.data', 'docs', 'test/browser/screenshots'],
  tempDirName: '.data/stryker',
  // No kind of mutant is left out, texts included: error codes, reasons and labels of key derivation are texts. Those that only
  // change a line of the log are told in docs/mutation.md and count against the score.
  thresholds: { high: 95, low: 85, break: 85 },
  reporters: ['clear-text', 'json', 'html'],
  clearTextReporter: { allowColor: false, reportTests: false, logTests: false },
  jsonReporter: { fileName: `.data/mutation/${name}.json` },
  htmlReporter: { fileName: `.data/mutation/${name}.html` },
}
