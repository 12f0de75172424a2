import { randomBytes } from 'node:crypto'

export interface Secrets {
  operatorKey: string
  recallSecret: string
  encryptionKey: string
}

export const makeSecrets = (): Secrets => ({
  operatorKey: randomBytes(32).toString('base64url'),
  recallSecret: `whsec_${randomBytes(32).toString('base64')}`,
  encryptionKey: `bench:${randomBytes(32).toString('base64')}`,
})

/** What operators set in production, with the stand-in as Zoom; everything else at its default. */
export function serviceEnvironment(databaseUrl: string, zoomOrigin: string, secrets: Secrets): Record<string, string> {
  return {
    NODE_ENV: 'production',
    LOG_LEVEL: 'info',
    PUBLIC_BASE_URL: 'https://latchkey.invalid',
    DATABASE_URL: databaseUrl,
    MIGRATE_ON_START: 'true',
    INSTALLATION_ID: 'bench',
    ENCRYPTION_KEYS: secrets.encryptionKey,
    OPERATOR_API_KEY: secrets.operatorKey,
    ZOOM_OAUTH_APP_CLIENT_ID: 'bench-client-id',
    ZOOM_OAUTH_APP_CLIENT_SECRET: 'bench-client-secret',
    ZOOM_OAUTH_BASE_URL: zoomOrigin,
    ZOOM_API_BASE_URL: `${zoomOrigin}/v2`,
    RECALL_VERIFICATION_SECRETS: secrets.recallSecret,
  }
}

/** Hosts and passes, made through the service's own front door. */
export function createSeeder(port: number, { operatorKey }: Secrets) {
  const local = (url: string) => {
    const { pathname, search } = new URL(url)
    return `http://127.0.0.1:${port}${pathname}${search}`
  }
  async function post(path: string, body: object): Promise<Record<string, string>> {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${operatorKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    if (answer.status !== 201) throw new Error(`POST ${path} answered ${answer.status}: ${await answer.text()}`)
    return (await answer.json()) as Record<string, string>
  }

  /** Connects one host through the OAuth flow; the stand-in takes the user's name as the code. */
  async function connectHost(user: string): Promise<void> {
    const { url = '' } = await post('/v1/connect-sessions', { external_user_id: user })
    const opened = await fetch(local(url), { redirect: 'manual' })
    const cookie = opened.headers.getSetCookie().map((line) => line.split(';')[0])
    const state = new URL(opened.headers.get('location') ?? 'none:').searchParams.get('state') ?? ''
    const back = `https://latchkey.invalid/zoom/oauth/callback?${new URLSearchParams({ code: user, state })}`
    const connected = await fetch(local(back), { headers: { cookie: cookie.join('; ') } })
    if (connected.status !== 200) throw new Error(`connecting a host answered ${connected.status}`)
  }

  return {
    async connectHosts(count: number): Promise<string[]> {
      const users = Array.from({ length: count }, (_, index) => `bench-user-${index}`)
      for (const user of users) await connectHost(user)
      return users
    },
    /** As many passes, spread over the hosts, each with a meeting of its own. Gives the paths of their join URLs. */
    async createPasses(count: number, users: string[]): Promise<string[]> {
      const paths: string[] = []
      for (let index = 0; index < count; index += 1) {
        const meeting = String(80_000_000_000 + Math.floor(Math.random() * 1_000_000_000))
        const host = { external_user_id: users[index % users.length] }
        const { join_token_url: url = '' } = await post('/v1/passes', { meeting, host })
        const { pathname, search } = new URL(url)
        paths.push(pathname + search)
      }
      return paths
    },
  }
}
