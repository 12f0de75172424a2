import { randomBytes } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { signRecallRequest } from '../../simulator/recall.ts'
import { buildTestApp, RECALL_SECRET, type TestApp } from '../helpers/app.ts'
import { type Replica, startReplica } from '../helpers/replica.ts'
import { type PgProxy, startPgProxy } from './pg-proxy.ts'

const USER = 'host@example.com'
const MEETING = '85996249517'

export interface World {
  t: TestApp
  proxy: PgProxy
  hostId: string
  passUrl: string
  /** A real process whose database is behind the proxy. */
  replica(): Promise<Replica>
  /** A bot's signed request to one replica; a killed one gives status 0. */
  mint(target: Replica): Promise<{ status: number; code: string | null }>
  /** The next mint has to refresh. */
  expire(): Promise<void>
  /** The lease of a dead holder runs out, without the wait. */
  endLease(): Promise<void>
}

/** One connected host, one pass, a simulated Zoom, and Postgres behind a proxy that can stop a statement. */
export async function createWorld(options: Parameters<typeof buildTestApp>[0] = {}): Promise<World> {
  const t = await buildTestApp(options)
  const host = await t.connectHost('user-1', USER)
  const pass = await t.createPass({ meeting: MEETING, host: { external_user_id: 'user-1' } })
  const proxy = await startPgProxy(t.databaseUrl)
  onTestFinished(() => proxy.close())
  const sql = (text: string) => t.app.prisma.$executeRawUnsafe(text)
  return {
    t,
    proxy,
    hostId: host.id,
    passUrl: pass.join_token_url,
    async replica() {
      const started = await startReplica({ ...t.settings, DATABASE_URL: proxy.url })
      onTestFinished(async () => {
        await started.stop('SIGKILL')
      })
      return started
    },
    async mint(target) {
      const { pathname, search } = new URL(pass.join_token_url)
      const id = `msg_${randomBytes(9).toString('hex')}`
      const timestamp = Math.floor(Date.now() / 1000)
      const headers = signRecallRequest({ secrets: [RECALL_SECRET], id, timestamp })
      const answer = await fetch(`${target.url}${pathname}${search}`, { headers }).catch(() => null)
      const body = answer ? await answer.text().catch(() => '') : ''
      const code = /"code":"([a-z_]+)"/.exec(body)?.[1] ?? null
      return { status: answer?.status ?? 0, code }
    },
    async expire() {
      await sql(`UPDATE grant_tokens SET access_expires_at = clock_timestamp()`)
    },
    async endLease() {
      await sql(`UPDATE grant_tokens SET lease_until = clock_timestamp() WHERE lease_until IS NOT NULL`)
    },
  }
}
