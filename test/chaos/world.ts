import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { signRecallRequest } from '../../simulator/recall.ts'
import { createGrantCipher } from '../../src/grants/cipher.ts'
import { createLocalKeyring } from '../../src/lib/sealing.ts'
import { createSql } from '../../src/lib/sql.ts'
import { createSecretBox } from '../../src/secrets/box.ts'
import { changed, RECALL_SECRET, startTestApp, type TestApp, type TestAppOptions } from '../helpers/app.ts'
import { CLIENT_ID, rows } from '../helpers/connect.ts'
import { type PostgresProxy, startPostgresProxy } from '../helpers/postgres-proxy.ts'
import { type Replica, startReplica } from '../helpers/replica.ts'
import { expireAccessToken, newVaultHost, type VaultHost } from '../helpers/vault.ts'
import { type GrantTruth, truthOf } from './invariant.ts'

/** Real processes on a machine that does other things too: for `vi.setConfig`, and for what is polled. */
export const BUSY_MACHINE = { testTimeout: 60_000, hookTimeout: 60_000 }
export const PATIENT = { timeout: 20_000 }

export interface World {
  /** Looks at the database directly; no bot asks it anything here. */
  t: TestApp
  proxy: PostgresProxy
  /** A real process whose database is behind the proxy. */
  replica(env?: Record<string, string>): Promise<Replica>
  /** A connected host of its own whose next mint has to refresh. */
  expiredHost(): Promise<VaultHost>
  /** What the database says of the host's grant, held against what Zoom would say. */
  truth(host: VaultHost): Promise<GrantTruth>
  stop(): Promise<void>
}

/** Postgres behind a proxy that can stop a statement, a simulated Zoom, and as many real processes as a test starts. */
export async function startWorld(options: TestAppOptions = {}): Promise<World> {
  const t = await startTestApp(options)
  // a sync borrows a token as soon as its host is connected: here nobody but the bots and the test does
  for (const trigger of ['hosts_sync', 'hosts_sync_again'])
    await rows(t, `ALTER TABLE hosts DISABLE TRIGGER ${trigger}`)
  const proxy = await startPostgresProxy(String(t.settings.DATABASE_URL))
  const [kid, key] = String(t.settings.ENCRYPTION_KEYS).split(':') as [string, string]
  const keyring = createLocalKeyring([{ kid, key: Buffer.from(key, 'base64') }])
  const sql = createSql(t.admin)
  const cipher = createGrantCipher(createSecretBox({ sql, removals: sql, keyring }))
  const replicas: Replica[] = []
  return {
    t,
    proxy,
    async replica(env = {}) {
      const started = await startReplica(changed(t.settings, { DATABASE_URL: proxy.url, ...env }))
      replicas.push(started)
      return started
    },
    async expiredHost() {
      const host = await newVaultHost(t)
      await expireAccessToken(t, host)
      return host
    },
    async truth({ grantId }) {
      const [grant] = await rows<{ id: string }>(t, 'SELECT zoom_user_id AS id FROM grants WHERE id = $1', [grantId])
      const truths = await truthOf({ sql, cipher }, (user) => t.zoom.liveRefreshToken(user, CLIENT_ID))
      const found = truths.get(String(grant?.id))
      if (!found) throw new Error('no such grant')
      return found
    },
    async stop() {
      await Promise.all(replicas.map((replica) => replica.stop('SIGKILL')))
      await proxy.close()
      await t.stop()
    },
  }
}

export interface BotAnswer {
  /** 0 where the process died under the request. */
  status: number
  code: string | null
  body: string
}

/** A bot's signed request to one replica. `clockMs` is the bot's clock: Recall's signature carries it. */
export async function mint(target: Replica, { joinUrl }: VaultHost, clockMs = Date.now()): Promise<BotAnswer> {
  const { pathname, search } = new URL(joinUrl)
  const id = `msg_${randomBytes(9).toString('hex')}`
  const headers = signRecallRequest({ secrets: [RECALL_SECRET], id, timestamp: Math.floor(clockMs / 1000) })
  const answer = await fetch(`${target.url}${pathname}${search}`, { headers }).catch(() => null)
  const body = answer ? await answer.text().catch(() => '') : ''
  return { status: answer?.status ?? 0, code: /"code":"([a-z_]+)"/.exec(body)?.[1] ?? null, body }
}

/** Stops a process in the middle of whatever it does; resolves once it stands still. */
export async function freeze({ process: child }: Replica): Promise<void> {
  child.kill('SIGSTOP')
  while (!(await standsStill(child.pid))) await delay(5)
}

export function thaw({ process: child }: Replica): void {
  child.kill('SIGCONT')
}

/** @see proc(5): the state follows the name in parentheses */
async function standsStill(pid: number | undefined): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  return stat === null || /\) T /.test(stat) // null: a system without /proc, where the signal has to do
}
