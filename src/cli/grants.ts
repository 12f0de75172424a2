import { buildApp } from '../app.ts'

/** Takes a copied database over on purpose. Whoever else still uses those tokens will lose them. @throws store_unavailable */
export async function adopt(env: Record<string, string | undefined>, say: (line: string) => void): Promise<void> {
  const { app, services } = await buildApp({ env: { ...env, LOG_LEVEL: 'warn' } })
  try {
    await services.installation.adopt()
    say(`The database now belongs to the installation ${app.config.INSTALLATION_ID}.`)
  } finally {
    await app.close()
  }
}
