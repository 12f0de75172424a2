#!/usr/bin/env node
import { dirname } from 'node:path'
import { Argument, Command } from 'commander'
import { ConfigError } from '../config.ts'
import { readEnvironment } from '../environment.ts'
import { AppError } from '../errors.ts'
import { StartError } from '../startup.ts'
import { type AuditOptions, audit } from './audit.ts'
import { type EraseOptions, erase } from './erase.ts'
import { type ExplainOptions, explain } from './explain.ts'
import { adopt, type DoctorOptions, doctor, markRestored } from './grants.ts'
import { type ImportOptions, importFile } from './import.ts'
import { SOURCE_HELP, SOURCES, type Source } from './import-sources.ts'
import { keysForget, keysRotate, keysStatus, type StatusOptions } from './keys.ts'
import { migrate } from './migrate.ts'
import { printOpenapi } from './openapi.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)

/** Runs a command in the service's environment, and stops what was started for it. */
async function run(work: (env: Record<string, string | undefined>) => Promise<void>): Promise<void> {
  const { env, stop } = await readEnvironment(process.env, dirname(dirname(import.meta.dirname)))
  try {
    await work(env)
  } finally {
    await stop()
  }
}

/** The same for a command that finds out whether something holds: status 1 where it does not. */
const judge = (work: (env: Record<string, string | undefined>) => Promise<boolean>) =>
  run(async (env) => {
    if (!(await work(env))) process.exitCode = 1
  })

/** Ctrl-C and SIGTERM let what is under way come to its end: a token on its way to Zoom must not be dropped. */
async function runImport(
  env: NodeJS.ProcessEnv,
  source: Source,
  file: string,
  options: ImportOptions,
): Promise<boolean> {
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort())
  const { stdout } = process
  const draw = stdout.isTTY ? (text: string) => void stdout.write(text) : null
  const terminal = { say, draw, columns: stdout.columns ?? 80 }
  return await importFile(env, { source, file, options }, terminal, stopping.signal)
}

const program = new Command('latchkey').description('Operates a Latchkey installation.').showHelpAfterError()
program
  .command('migrate')
  .description('apply pending migrations and exit; safe from several machines at once')
  .action(() => run((env) => migrate(env, say)))
program
  .command('openapi')
  .description('print the OpenAPI document')
  .action(() => printOpenapi(say))
program
  .command('import')
  .description('bring in hosts with the refresh tokens that another system holds; each token is redeemed once')
  .addArgument(new Argument('<source>', 'where the hosts come from').choices(SOURCES))
  .argument('<file>', 'what the source exported')
  .option('--tenant <id|slug>', 'whose hosts they become; without it: default')
  .option('--dry-run', 'check every row and say what would happen; Zoom is not asked')
  .option('--external-user-id <path>', 'the field of a JSON source that holds your own id of the user')
  .addHelpText('after', `\n${SOURCE_HELP}`)
  .action((source: Source, file: string, options: ImportOptions) =>
    judge((env) => runImport(env, source, file, options)),
  )
program
  .command('explain')
  .description(
    'say why a bot did not skip the waiting room: what is known of its pass or meeting, the likeliest cause first',
  )
  .argument('<pass-id|meeting>', 'the id of a pass, or a meeting as people paste it: its number or a join link')
  .option('--tenant <id|slug>', 'whose it is; without it: default')
  .option('--json', 'for programs')
  .action((reference: string, options: ExplainOptions) => run((env) => explain(env, reference, options, say)))
program
  .command('audit')
  .description('print the audit trail as JSON lines, newest first: who did what, and who was refused')
  .option('--tenant <id|slug>', 'whose; without it: of all tenants, and what is of none')
  .option('--since <time>', 'from this time on, such as 2026-12-01T15:00:00Z or 2026-12-01')
  .option('--until <time>', 'before this time')
  .action((options: AuditOptions) => run((env) => audit(env, options, say)))
const grants = program.command('grants').description('look after the grants of Zoom users')
grants
  .command('doctor')
  .description('say how the grants are and which hosts must connect again; touches no grant')
  .option('--json', 'for programs')
  .option('--log <file>', 'a service log ("-": standard input): whose pair was rotated after the restored backup')
  .action((options: DoctorOptions) => run((env) => doctor(env, options, say)))
grants
  .command('mark-restored')
  .description('after a restore: mark the hosts whose rotation the service log tells of and the database has lost')
  .requiredOption('--log <file>', 'the service log since the backup was made; "-": standard input')
  .action((options: { log: string }) => run((env) => markRestored(env, options, say)))
grants
  .command('adopt')
  .description('take over a database that another installation first used: its tokens are spent from here from now on')
  .action(() => run((env) => adopt(env, say)))
const keys = program.command('keys').description('look after ENCRYPTION_KEYS')
keys
  .command('status')
  .description('say which keys the database needs and which may be removed; status 1 where one is missing or wrong')
  .option('--verify', 'open every data key as well')
  .option('--json', 'for programs')
  .action((options: StatusOptions) => judge((env) => keysStatus(env, options, say)))
keys
  .command('rotate')
  .description(
    'wrap every data key under the first of ENCRYPTION_KEYS, beside running replicas; may be killed and repeated',
  )
  .action(() => judge((env) => keysRotate(env, say)))
keys
  .command('forget')
  .description('forget a key id that was first set with a mistyped value and that nothing is wrapped under')
  .argument('<kid>', 'the id before the colon')
  .action((kid: string) => judge((env) => keysForget(env, kid, say)))
program
  .command('erase')
  .description(
    'erase now what the clean-up erases by the clock, or prove that nothing is left; status 1 where something is',
  )
  .option('--verify', 'only prove')
  .option('--tenant <id>', 'with --verify: of this tenant, which was deleted, in particular')
  .option('--host <id>', 'with --verify: of this host, which was deleted, in particular')
  .option('--json', 'for programs')
  .action((options: EraseOptions) => judge((env) => erase(env, options, say)))

try {
  await program.parseAsync()
} catch (error) {
  const isOurs = error instanceof ConfigError || error instanceof StartError || error instanceof AppError
  const isOfNetwork = error instanceof Error && /^E[A-Z]+$/.test(String((error as { code?: unknown }).code))
  const text = error instanceof Error ? (isOurs || isOfNetwork ? error.message : error.stack) : 'unknown error'
  process.stderr.write(`${text}\n`)
  process.exit(1)
}
