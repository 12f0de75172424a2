import type { Reporter, TestModule } from 'vitest/node'

/** The last line of a run says whether it passed, to people and to logs cut off above it. */
export class LastLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[], reason: string): void {
    const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state))
    const count = (state: string) => states.filter((each) => each === state).length
    const broken = modules.filter((module) => module.state() === 'failed').length
    const hasPassed = reason === 'passed' && states.length > 0 && unhandledErrors.length === 0
    const parts = [`${count('passed')} passed`, `${count('failed')} failed`, `${count('skipped')} skipped`]
    const files = `${modules.length} files${broken > 0 ? `, ${broken} of them failed` : ''}`
    console.log(`${hasPassed ? 'Passed' : 'Failed'}, ${files}`)
    // alone on its line: what tools that count tests look for
    console.log(`Tests: ${parts.join(', ')}`)
  }
}
