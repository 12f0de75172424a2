import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface ProgramResult {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs a program to its end; one from node_modules/.bin is found by its bare name, since run.mjs puts that on PATH. */
export async function runProgram(file: string, args: string[]): Promise<ProgramResult> {
  const isScript = process.platform === 'win32' && file !== process.execPath // .cmd files need a shell there
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], shell: isScript })
  const closed = once(child, 'close')
  const [stdout, stderr] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()])
  const [code] = await closed
  return { code, stdout: stdout.join(''), stderr: stderr.join('') }
}

/** @returns all that the program wrote if it failed, else nothing */
export async function complaintsOf(file: string, args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(file, args)
  return code === 0 ? '' : `${stdout}${stderr}`.trim() || `${file} ended with ${code}`
}
