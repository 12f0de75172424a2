import { readFile, writeFile } from 'node:fs/promises'
import { runProgram } from './program.ts'

const COMMITTED = 'docs/openapi.json'

/**
 * docs/openapi.json is what the routes' schemas say now. `isWriting` brings it up to date instead of complaining.
 * @returns what is wrong, if anything
 */
export async function checkOpenApi({ isWriting }: { isWriting: boolean }): Promise<string> {
  const { code, stdout, stderr } = await runProgram(process.execPath, ['src/cli/main.ts', 'openapi'])
  if (code !== 0) return `node src/cli/main.ts openapi failed:\n${stdout}${stderr}`
  const generated = `${JSON.stringify(JSON.parse(stdout), null, 2)}\n`
  if (isWriting) await writeFile(COMMITTED, generated)
  const committed = await readFile(COMMITTED, 'utf8').catch(() => '')
  return committed === generated ? '' : `${COMMITTED} is out of date. "npm run check -- --write" brings it up to date.`
}
