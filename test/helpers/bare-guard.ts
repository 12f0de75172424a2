import { createSecretKey, randomBytes } from 'node:crypto'
import Fastify, { type InjectOptions } from 'fastify'
import { onTestFinished } from 'vitest'
import { signRecallRequest } from '../../simulator/recall.ts'
import { sha256 } from '../../src/lib/ids.ts'
import { errorHandler } from '../../src/plugins/error-handler.ts'
import { createFailureLimit } from '../../src/plugins/failure-limit.ts'
import {
  type GuardLedger,
  type KnownPass,
  type RecallGuardOptions,
  recallGuard,
  type ServingSecrets,
} from '../../src/plugins/recall-guard.ts'
import { routeContract } from '../../src/plugins/route-contract.ts'

export const TENANT = 'tenant'
export const KNOWN: KnownPass = { passId: 'pass', tenantId: TENANT, revokedAt: null, isExpired: false }
const START_MS = 1_800_000_000_000
const RESPONSE = { '2xx': {}, '4xx': {}, '5xx': {} }

export interface Secret {
  id: string
  text: string
}
export const newSecret = (id = 'secret'): Secret => ({ id, text: `whsec_${randomBytes(32).toString('base64')}` })
export const newPassSecret = () => randomBytes(32).toString('base64url')

/** What a tenant's workspaces say. */
export const serving = (secrets: Secret[], more: Partial<ServingSecrets> = {}): ServingSecrets => ({
  source: 'tenant',
  isObserving: false,
  ...more,
  secrets: secrets.map(({ id, text }) => ({ id, key: createSecretKey(Buffer.from(text.slice(6), 'base64')) })),
})

/** The guard alone, before routes that answer with what it opened; what it reads is set, and what it asks and writes is kept. */
export async function startGuard(options: Partial<RecallGuardOptions<unknown>> = {}) {
  const clock = { ms: START_MS }
  const passes = new Map<string, KnownPass>()
  const tenants = new Map<string, ServingSecrets>()
  const asked = { passes: 0, secrets: [] as string[] }
  const opened: unknown[] = []
  const refused: unknown[] = []
  const noted: unknown[] = []
  const warnings: Record<string, unknown>[] = []
  /** What the next openings find, one after the other; a mint where nothing is said. */
  const openings: unknown[] = []
  const open = async (request: unknown) => {
    opened.push(request)
    return openings.length > 0 ? openings.shift() : { mint: opened.length }
  }
  const ledger: GuardLedger<unknown> = {
    open: (request) => open({ with: 'pass', ...request }),
    openPlain: (request) => open({ with: 'meeting', ...request }),
    recordRefusal: async (...refusal) => void refused.push(refusal),
  }
  const app = Fastify({
    genReqId: () => 'request',
    logger: { level: 'warn', stream: { write: (line: string) => void warnings.push(JSON.parse(line)) } },
  })
  onTestFinished(() => app.close())
  await app.register(errorHandler).register(routeContract)
  await app.register(recallGuard, {
    resolvePass: async (hash) => {
      asked.passes += 1
      return passes.get(hash.toString('hex')) ?? null
    },
    secretsServing: async (tenantId) => {
      asked.secrets.push(tenantId)
      return tenants.get(tenantId) ?? serving([])
    },
    ledger,
    failureLimit: createFailureLimit(() => clock.ms),
    refusals: { note: (refusal) => void noted.push(refusal) },
    toleranceSeconds: 300,
    deadlineMs: 10_000,
    plainTenantId: null,
    now: () => clock.ms,
    ...options,
  })
  const schema = (operationId: string) => ({ operationId, tags: ['bots'], response: RESPONSE })
  for (const kind of ['join', 'obf', 'zak', 'access'] as const)
    app.get(`/${kind}`, { schema: schema(kind), config: { caller: 'bot', kind } }, async ({ opened }) => ({ opened }))
  app.get('/other', { schema: schema('other'), config: { caller: 'bot' } }, async ({ opened }) => ({ opened }))

  const signed = (secrets: Secret[], { id = 'msg_1', ageSeconds = 0 } = {}) =>
    signRecallRequest({
      secrets: secrets.map(({ text }) => text),
      id,
      timestamp: Math.floor(clock.ms / 1000) - ageSeconds,
    })
  /** Status, code and what was opened. */
  async function ask(url: string, headers: Record<string, string> = {}, more: InjectOptions = {}) {
    const answer = await app.inject({ url, headers, ...more })
    return [answer.statusCode, answer.statusCode === 200 ? answer.json().opened : answer.json().code]
  }
  const addPass = (pass: KnownPass = KNOWN) => {
    const secret = newPassSecret()
    passes.set(sha256(secret).toString('hex'), pass)
    return { secret, url: `/join?pass=${secret}`, change: (to: KnownPass | null) => change(secret, to) }
  }
  function change(secret: string, to: KnownPass | null): void {
    if (to) passes.set(sha256(secret).toString('hex'), to)
    else passes.delete(sha256(secret).toString('hex'))
  }
  return { app, clock, tenants, asked, opened, openings, refused, noted, warnings, signed, ask, addPass }
}
