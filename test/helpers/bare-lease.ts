import { onTestFinished } from 'vitest'
import { createAttempt } from '../../src/grants/attempt.ts'
import { createBreakers } from '../../src/grants/breakers.ts'
import { createLifeRules } from '../../src/grants/life.ts'
import { createRefresher, type RefreshDeps } from '../../src/grants/refresh.ts'
import { createRestoreGuard } from '../../src/grants/restore-guard.ts'
import type { GrantRow, Lease, StoredRow } from '../../src/grants/store.ts'
import { createWatermarks } from '../../src/grants/watermarks.ts'
import { SealError } from '../../src/lib/sealing.ts'
import type { RefreshOutcome } from '../../src/zoom/oauth.ts'

export const GRANT = 'grant'
export const CREDENTIALS = { clientId: 'client', clientSecrets: ['secret'] }
export const TOKENS = { accessToken: 'a6', refreshToken: 'r6', expiresInSeconds: 3600, scopes: ['scope'] }
export const ROTATED: RefreshOutcome = { outcome: 'rotated', tokens: TOKENS }
/** When PERSIST says that the pair was stored. */
export const STORED = { storedAtSeconds: 1000, consentEpoch: 3, consentReason: 'why' }

/** A sealed token as the cipher of these tests makes it. */
export const sealedAs = (column: 'refresh' | 'access', gen: bigint, token: string) =>
  Buffer.from(`${GRANT}/${column}/${gen}/${token}`)

export const LEASE: Lease = {
  gen: 5n,
  leaseSeq: 9n,
  refreshCt: sealedAs('refresh', 5n, 'r5'),
  recovering: false,
  isBehindHistory: false,
  hadTwin: false,
  pairAgeSeconds: 1000.4,
}

/** A grant whose access token has ended. */
export const ROW: GrantRow = {
  status: 'connected',
  statusReason: null,
  gen: 5n,
  accessCt: sealedAs('access', 5n, 'a5'),
  accessLifeSeconds: 0,
  accessExpiresAtSeconds: 500,
  leaseOwner: null,
  leaseLeftSeconds: 0,
  storedAtSeconds: 100,
  blockedReason: null,
  zoomAppId: 'app',
}

export const rowWith = (more: Partial<GrantRow>): GrantRow => ({ ...ROW, ...more })
export const LIVING = rowWith({ accessLifeSeconds: 3000, accessExpiresAtSeconds: 3500 })
/** As a renewal leaves the row. */
export const RENEWED = rowWith({
  gen: 6n,
  accessCt: sealedAs('access', 6n, 'a6'),
  accessLifeSeconds: 3599,
  accessExpiresAtSeconds: 4600,
})

export const rowStored = (more: Partial<StoredRow> = {}): StoredRow => ({
  gen: 5n,
  status: 'connected',
  refreshCt: LEASE.refreshCt,
  accessCt: ROW.accessCt,
  leaseOwner: null,
  isKeptAtZoom: false,
  consentEpoch: 7,
  consentReason: 'later',
  storedAtSeconds: 100,
  pairAgeSeconds: 900,
  isRefreshed: true,
  ...more,
})

/** Seals by writing down the place, and opens nothing elsewhere. */
function createPlainCipher(note: (...call: unknown[]) => void) {
  const opener = (column: 'refresh' | 'access') => async (_grantId: string, gen: bigint, ciphertext: Uint8Array) => {
    const [prefix, text] = [String(sealedAs(column, gen, '')), String(Buffer.from(ciphertext))]
    if (!text.startsWith(prefix)) throw new SealError('The envelope does not open')
    return text.slice(prefix.length)
  }
  return {
    sealPair: async (_grantId: string, gen: bigint, tokens: { accessToken: string; refreshToken: string }) => ({
      refreshCt: sealedAs('refresh', gen, tokens.refreshToken),
      accessCt: sealedAs('access', gen, tokens.accessToken),
    }),
    prepare: async (grantId: string) => note('prepare', grantId),
    openRefreshToken: opener('refresh'),
    openAccessToken: opener('access'),
  }
}

/**
 * The lease's logic on a database and a Zoom that say what a test has told them to, call by call, and then their defaults: the lease
 * is there, the pair is stored, Zoom rotates. What was asked of both is in `calls`, in order.
 */
export function startLease(options: Partial<RefreshDeps> = {}) {
  const clock = { ms: 0 }
  const calls: unknown[][] = []
  const counted: unknown[][] = []
  const lines: { level: string; fields: unknown; message: unknown }[] = []
  /** What the next calls of a name bring: an error is thrown, a function is asked. */
  const next: Record<string, unknown[]> = {}
  const answer = (name: string, byDefault: unknown) => {
    return async (...args: unknown[]) => {
      calls.push([name, ...args])
      const queue = next[name] ?? []
      const said = queue.length > 0 ? queue.shift() : byDefault
      if (said instanceof Error) throw said
      return typeof said === 'function' ? said(...args) : said
    }
  }
  const line =
    (level: string) =>
    (...args: unknown[]) =>
      void lines.push({ level, fields: args.length > 1 ? args[0] : undefined, message: args.at(-1) })
  const log = { info: line('info'), warn: line('warn'), error: line('error') } as never
  const count =
    (name: string) =>
    (...args: unknown[]) =>
      void counted.push([name, ...args])
  const names = ['release', 'verdict', 'shortenLease', 'condemnRestored']
  const store = {
    ...Object.fromEntries(names.map((name) => [name, answer(name, true)])),
    read: answer('read', ROW),
    acquire: answer('acquire', LEASE),
    persist: answer('persist', STORED),
    stored: answer('stored', rowStored()),
    noteAmbiguous: answer('noteAmbiguous', undefined),
    block: answer('block', undefined),
    heal: answer('heal', 2000),
    generations: answer('generations', []),
  } as never
  const watermarks = createWatermarks(() => clock.ms)
  onTestFinished(watermarks.close)
  const deps: RefreshDeps = {
    store,
    cipher: createPlainCipher((...call) => void calls.push(call)),
    oauth: { refresh: answer('refresh', ROTATED), revoke: answer('revoke', { outcome: 'revoked' }) } as never,
    breakers: createBreakers({ monotonicNow: () => clock.ms, random: () => 0.999_999 }),
    appPauses: { note: (...args) => void calls.push(['appPauses', ...args]), settled: async () => {} },
    life: createLifeRules(300),
    watermarks,
    restoreGuard: createRestoreGuard({
      store,
      watermarks,
      log,
      countBackwards: count('backwards'),
      isForeign: () => false,
    }),
    lineage: { isEarlier: answer('isEarlier', false) as () => Promise<boolean> },
    log,
    metrics: { countRefresh: count('refresh'), countDeath: count('death'), countAdopted: count('adopted') } as never,
    monotonicNow: () => clock.ms,
    credentialsOf: async () => CREDENTIALS,
    owner: 'owner',
    isForeign: () => false,
    ...options,
  }
  const namesOf = () => calls.map(([name]) => name)
  const callsOf = (name: string) => calls.filter(([each]) => each === name).map(([, ...args]) => args)
  /** One attempt under a lease that was asked for `agoMs` ago. */
  const run = (lease: Partial<Lease> = {}, agoMs = 0) =>
    createAttempt(deps)({
      id: 'attempt',
      grantId: GRANT,
      zoomAppId: 'app',
      credentials: CREDENTIALS,
      lease: { ...LEASE, ...lease },
      acquiredAtMs: clock.ms - agoMs,
    })
  return { ...deps, clock, calls, counted, lines, next, namesOf, callsOf, run, refresher: createRefresher(deps) }
}

/** The same, with the rows that reads find, one after the other, and the last one from then on. */
export function startReading(rows: (GrantRow | null)[], options: Parameters<typeof startLease>[0] = {}) {
  const world = startLease(options)
  const found = [...rows]
  world.next.read = Array(300).fill(() => (found.length > 1 ? found.shift() : found[0]))
  return world
}
