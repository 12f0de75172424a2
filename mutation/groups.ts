interface Group {
  /** What is changed, a bit at a time. */
  mutate: string[]
  /** What has to notice: only tests without a database, so that a group takes minutes. */
  tests: string[]
}

/** Where a line that can be changed unnoticed would let somebody in, open a token, or lose one. */
export const GROUPS: Record<string, Group> = {
  verifier: {
    mutate: ['src/recall/signature.ts', 'src/lib/standard-webhooks.ts', 'src/lib/header-lines.ts'],
    tests: [
      'test/unit/recall/signature.test.ts',
      'test/unit/lib/standard-webhooks.test.ts',
      'test/unit/lib/header-lines.test.ts',
    ],
  },
  keyring: {
    mutate: ['src/lib/sealing.ts', 'src/secrets/box.ts'],
    tests: ['test/unit/lib/sealing.test.ts', 'test/unit/secrets/box.test.ts'],
  },
  guard: {
    mutate: ['src/plugins/recall-guard.ts', 'src/plugins/failure-limit.ts'],
    tests: ['test/unit/plugins/{recall-guard*,failure-limit}.test.ts'],
  },
  lease: {
    mutate: [
      'src/grants/attempt.ts',
      'src/grants/refresh.ts',
      'src/grants/answers.ts',
      'src/grants/until-stored.ts',
      'src/grants/watermarks.ts',
      'src/grants/restore-guard.ts',
      'src/grants/breakers.ts',
      'src/grants/{app,grant,endpoint}-breaker.ts',
      'src/lib/single-flight.ts',
    ],
    tests: [
      'test/unit/grants/{answers,attempt*,breakers,refresh*,restore-guard,until-stored,watermarks}.test.ts',
      'test/unit/lib/concurrency.test.ts',
    ],
  },
}
