import { buildApp } from '../app.ts'
import { StartError } from '../startup.ts'

export type Env = Record<string, string | undefined>
export type Say = (line: string) => void

/** Builds the service for one command, without a port and without its log. @throws StartError for pending migrations, store_unavailable */
export async function withServices<T>(
  env: Env,
  work: (built: Awaited<ReturnType<typeof buildApp>>) => Promise<T>,
): Promise<T> {
  const built = await buildApp({ env: { ...env, LOG_LEVEL: 'fatal' } })
  try {
    const { pending, functions } = await built.readiness.migrations()
    if (pending.length > 0) throw new StartError(`Migrations are pending: ${pending.join(', ')}. Run latchkey migrate.`)
    if (functions.length > 0)
      throw new StartError('The database lacks functions of this version. Run latchkey migrate.')
    return await work(built)
  } finally {
    await built.app.close()
  }
}
