import { glob, readFile } from 'node:fs/promises'

const MAX_LINES = 300 // beyond that a file has more than one reason to change
const PATTERN = '{{src,simulator,scripts,test,bench}/**/*,mutation/*}.{ts,mjs}'
const MARKERS = ['TO' + 'DO', 'FIX' + 'ME'] // in pieces, so that this file may name them

/**
 * What no linter of ours knows: how long a file may be, and that nothing is left for later.
 * @returns what is wrong, if anything
 */
export async function checkHouseRules(): Promise<string> {
  const problems: string[] = []
  for await (const path of glob(PATTERN, { exclude: ['src/generated/**'] })) {
    const text = await readFile(path, 'utf8')
    const lines = text.split('\n').length - 1
    if (lines > MAX_LINES) problems.push(`${path} has ${lines} lines, more than ${MAX_LINES}`)
    const marker = MARKERS.find((each) => text.includes(each))
    if (marker) problems.push(`${path} says ${marker}`)
    if (/\b(test|describe|it)\.(only|skip)\(/.test(text)) problems.push(`${path} leaves tests out`)
  }
  return problems.join('\n')
}
