import { createSecretKey } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Refusals } from '../audit/refusals.ts'
import { AppError } from '../errors.ts'
import { withDeadline } from '../lib/deadline.ts'
import { sha256 } from '../lib/ids.ts'
import { createLru } from '../lib/lru.ts'
import {
  type RecallSecret,
  type SignatureVerdict,
  signaturePresence,
  verifyRecallSignature,
} from '../recall/signature.ts'
import type { PassKind } from '../zoom/scopes.ts'
import type { FailureLimit } from './failure-limit.ts'
import { addressOf } from './http-edge.ts'

/** A pass as the guard finds it: whose it is, never what it may; that is read in the statement that opens the mint. */
export interface KnownPass {
  passId: string
  tenantId: string
  revokedAt: Date | null
  isExpired: boolean
}

export interface ServingSecrets {
  source: 'tenant' | 'environment'
  secrets: RecallSecret[]
  isObserving: boolean
}

export interface GuardLedger<Opened> {
  open(request: {
    passId: string
    kind: PassKind
    webhookId: string | null
    secretId: string | null
    requestId: string
  }): Promise<Opened | null>
  openPlain(request: {
    tenantId: string
    meetingId: string
    kind: PassKind
    webhookId: string
    secretId: string | null
    requestId: string
  }): Promise<Opened | null>
  recordRefusal(passId: string, kind: PassKind, reason: string, requestId: string): Promise<void>
}

export interface RecallGuardOptions<Opened> {
  resolvePass: (secretHash: Buffer) => Promise<KnownPass | null>
  secretsServing: (tenantId: string) => Promise<ServingSecrets>
  ledger: GuardLedger<Opened>
  failureLimit: FailureLimit
  refusals: Pick<Refusals, 'note'>
  toleranceSeconds: number
  deadlineMs: number
  /** The tenant that plain callback URLs act for; null where they are off. */
  plainTenantId: string | null
  now: () => number
}

const CACHED = 10_000
const SECRETS_KEPT_MS = 30_000
const PASS = /^[A-Za-z0-9_-]{43}$/
// verified in place of an unknown pass's secrets, so that an unknown pass takes as long as a wrong signature
const NOBODYS_SECRET: RecallSecret = { id: 'nobody', key: createSecretKey(Buffer.alloc(32, 1)) }

interface Checked {
  verdict: SignatureVerdict
  serving: ServingSecrets
}

interface PlainRequest {
  tenantId: string
  meetingId: string
  kind: PassKind
}

interface BotQuery {
  pass?: string | undefined
  meeting_id?: string | undefined
}

/** A GET that carries a body is refused and its connection closed: what follows could be read as another request. */
function refuseBody({ headers }: FastifyRequest): void {
  const length = headers['content-length']
  if (headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0'))
    throw new AppError('invalid_request', 'This GET takes no body.')
}

function createGuard<Opened>(options: RecallGuardOptions<Opened>) {
  const { resolvePass, secretsServing, ledger, failureLimit, refusals, toleranceSeconds, now, plainTenantId } = options
  // a secret's pass and tenant never change; what may change is read again when the mint is opened
  const passes = createLru<string, KnownPass>(CACHED)
  const secrets = createLru<string, ServingSecrets & { readAtMs: number }>(CACHED)

  async function findPass(presented: string): Promise<KnownPass | null> {
    if (!PASS.test(presented)) return null
    const hash = sha256(presented)
    const key = hash.toString('base64')
    const known = passes.get(key)
    if (known) return known
    const found = await resolvePass(hash)
    if (found) passes.set(key, found)
    return found
  }
  async function readSecrets(tenantId: string): Promise<ServingSecrets> {
    const serving = { ...(await secretsServing(tenantId)), readAtMs: now() }
    secrets.set(tenantId, serving)
    return serving
  }
  const verify = (request: FastifyRequest, candidates: RecallSecret[]) =>
    verifyRecallSignature({ rawHeaders: request.raw.rawHeaders, secrets: candidates, nowMs: now(), toleranceSeconds })

  async function verifyNow(request: FastifyRequest, tenantId: string): Promise<Checked> {
    const serving = await readSecrets(tenantId)
    return { verdict: verify(request, serving.secrets), serving }
  }

  /** Tries what is known first; a mismatch may only mean that a secret was added meanwhile. */
  async function verifyFor(request: FastifyRequest, tenantId: string): Promise<Checked> {
    const known = secrets.get(tenantId)
    if (!known || now() - known.readAtMs >= SECRETS_KEPT_MS) return await verifyNow(request, tenantId)
    const verdict = verify(request, known.secrets)
    const mayBeStale = !verdict.ok && verdict.reason !== 'timestamp_out_of_range'
    return mayBeStale ? await verifyNow(request, tenantId) : { verdict, serving: known }
  }
  const rowOf = (secretId: string, { source }: ServingSecrets) => (source === 'tenant' ? secretId : null)

  async function refused(request: FastifyRequest, pass: KnownPass, kind: PassKind, reason: string): Promise<never> {
    const error = failureLimit.refuse(addressOf(request), reason)
    await ledger.recordRefusal(pass.passId, kind, reason, request.id)
    throw error
  }

  /** Without a pass there is no mint to list it in. */
  function refusedOfNobody(request: FastifyRequest, reason: string) {
    const address = addressOf(request)
    const refused = { action: `auth.bot_${reason}`, outcome: 'unauthenticated', status: 401 }
    refusals.note({ ...refused, tenantId: null, actor: 'anonymous', requestId: request.id, address })
    return failureLimit.refuse(address, reason)
  }

  /** Null where nothing was opened: the pass or the secret that held went since this replica read it. */
  async function tryOpen(request: FastifyRequest, pass: KnownPass, kind: PassKind, checked: Checked) {
    const { verdict, serving } = checked
    const isObserved = !verdict.ok && serving.isObserving && signaturePresence(request.raw.rawHeaders) === 'absent'
    if (!verdict.ok && !isObserved) return await refused(request, pass, kind, verdict.reason)
    if (isObserved)
      request.log.warn({ pass_id: pass.passId }, 'an unsigned request was let through: signature_mode observe')
    return await ledger.open({
      passId: pass.passId,
      kind,
      requestId: request.id,
      webhookId: verdict.ok ? verdict.webhookId : null,
      secretId: verdict.ok ? rowOf(verdict.secretId, serving) : null,
    })
  }

  async function openWithPass(request: FastifyRequest, presented: string, kind: PassKind): Promise<Opened> {
    const pass = await findPass(presented)
    if (!pass) {
      verify(request, [NOBODYS_SECRET])
      throw refusedOfNobody(request, 'pass_unknown')
    }
    const opened = await tryOpen(request, pass, kind, await verifyFor(request, pass.tenantId))
    if (opened) return opened
    const gone = await whyPassIsGone(presented)
    if (gone) return await refused(request, pass, kind, gone)
    // signed with the secret that went and, as Recall does during a rotation, perhaps with the one that came
    const reopened = await tryOpen(request, pass, kind, await verifyNow(request, pass.tenantId))
    return reopened ?? (await refused(request, pass, kind, 'signature_mismatch'))
  }

  async function whyPassIsGone(presented: string): Promise<string | null> {
    const pass = await resolvePass(sha256(presented))
    if (!pass) return 'pass_unknown'
    if (pass.revokedAt) return 'pass_revoked'
    return pass.isExpired ? 'pass_expired' : null
  }

  async function tryOpenPlain(request: FastifyRequest, plain: PlainRequest, checked: Checked) {
    const { verdict, serving } = checked
    if (!verdict.ok) throw refusedOfNobody(request, verdict.reason)
    const secretId = rowOf(verdict.secretId, serving)
    return await ledger.openPlain({ ...plain, webhookId: verdict.webhookId, secretId, requestId: request.id })
  }

  async function openPlain(request: FastifyRequest, plain: PlainRequest): Promise<Opened> {
    const opened =
      (await tryOpenPlain(request, plain, await verifyFor(request, plain.tenantId))) ??
      (await tryOpenPlain(request, plain, await verifyNow(request, plain.tenantId)))
    if (!opened) throw refusedOfNobody(request, 'signature_mismatch')
    return opened
  }

  return async function guard(request: FastifyRequest): Promise<Opened> {
    const kind = request.routeOptions.config.kind as PassKind
    const { pass, meeting_id: meetingId } = request.query as BotQuery
    if (pass !== undefined) return await openWithPass(request, pass, kind)
    if (plainTenantId !== null && meetingId !== undefined && (kind === 'join' || kind === 'obf'))
      return await openPlain(request, { tenantId: plainTenantId, meetingId, kind })
    throw refusedOfNobody(request, 'pass_missing')
  }
}

/**
 * Guards the minting routes. Two things are needed: Recall's signature says who calls, the pass says what. One and the same
 * 401 answers every failure of either; the log and, where the pass is known, its mints say which it was.
 * What it opened is in `request.opened`.
 */
export const recallGuard = fp(
  async (app, options: RecallGuardOptions<unknown>) => {
    const guard = createGuard(options)
    app.decorateRequest('opened', null)
    app.addHook('onRequest', (request, reply, done) => {
      reply.header('cache-control', 'no-store')
      try {
        refuseBody(request)
      } catch (error) {
        reply.header('connection', 'close')
        throw error
      }
      done()
    })
    app.addHook('preHandler', async (request) => {
      if (!request.routeOptions.config.kind) return // a refused method; it answers 405 by itself
      request.opened = await withDeadline(guard(request), options.deadlineMs, () => {
        return new AppError('store_unavailable', 'The database did not answer in time; try again.')
      })
    })
  },
  { name: 'recall-guard', dependencies: ['error-handler', 'route-contract'] },
)

declare module 'fastify' {
  interface FastifyRequest {
    /** The open ledger row of a guarded request; its feature knows the shape. */
    opened: unknown
  }
}
