import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Refusals } from '../audit/refusals.ts'
import { AppError } from '../errors.ts'
import { headerLines } from '../lib/header-lines.ts'
import { constantTimeEqual, sha256 } from '../lib/ids.ts'
import type { FailureLimit } from './failure-limit.ts'
import { addressOf } from './http-edge.ts'

/** Who calls the management API. */
export type Caller = { kind: 'operator' } | { kind: 'tenant_key'; tenantId: string; keyId: string; scopes: string[] }

/** As the audit trail names who calls. */
export function actorOf(caller: Caller | null): string {
  if (caller?.kind === 'tenant_key') return `key:${caller.keyId}`
  return caller ? 'operator' : 'anonymous'
}

interface ResolvedKey {
  tenantId: string
  keyId: string
  scopes: string[]
  isExpired: boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | null
    /** The tenant the request acts for; empty outside the tenant scope. */
    tenantId: string
  }
}

export interface ApiAuthOptions {
  operatorKeys: string[]
  resolveApiKey: (presented: string) => Promise<ResolvedKey | null>
  resolveTenant: (idOrSlug: string | undefined) => Promise<string>
  failureLimit: FailureLimit
  refusals: Pick<Refusals, 'note'>
}

/** The bearer token, from exactly one Authorization header. @see https://www.rfc-editor.org/rfc/rfc6750#section-2.1 */
function bearerOf({ raw }: FastifyRequest): string | null {
  const [line = '', ...more] = headerLines(raw.rawHeaders, 'authorization')
  const match = /^bearer +([\x21-\x7e]{1,512})$/i.exec(line)
  return more.length === 0 && match?.[1] ? match[1] : null
}

function headerTenant({ raw }: FastifyRequest): string | undefined {
  const [value, ...more] = headerLines(raw.rawHeaders, 'latchkey-tenant')
  if (value === undefined) return undefined
  if (more.length === 0 && /^[A-Za-z0-9-]{1,64}$/.test(value)) return value
  throw new AppError('invalid_request', 'Latchkey-Tenant must be one tenant id or slug.')
}

/** Why a known caller is not let in: its class for the audit trail, and what it is told. */
const forbidden = (reason: string, detail: string) => new AppError('forbidden', detail, { reason })

async function actFor(caller: Caller, request: FastifyRequest, options: ApiAuthOptions): Promise<string> {
  const named = headerTenant(request)
  if (caller.kind === 'operator') return await options.resolveTenant(named)
  if (named !== undefined) {
    const tenantId = await options.resolveTenant(named).catch(() => null)
    if (tenantId !== caller.tenantId)
      throw forbidden('tenant_mismatch', 'This key belongs to one tenant and acts for no other.')
  }
  return caller.tenantId
}

/** The operator's key has every scope. @throws forbidden */
function requireScope(caller: Caller | null, scope: string): void {
  const isAllowed = caller?.kind === 'operator' || caller?.scopes.includes(scope)
  if (!isAllowed) throw forbidden('scope_missing', `This key lacks the scope ${scope}.`)
}

/** Who presents what proves it. The answer to all that is not good is one and the same. */
function createIdentify({ operatorKeys, resolveApiKey, failureLimit, refusals }: ApiAuthOptions) {
  const operatorHashes = operatorKeys.map(sha256)
  function refuse(request: FastifyRequest, reason: string, known?: ResolvedKey): AppError {
    const { tenantId, keyId } = known ?? {}
    refusals.note({
      tenantId: tenantId ?? null,
      actor: keyId ? `key:${keyId}` : 'anonymous',
      action: `auth.${reason}`,
      requestId: request.id,
      address: addressOf(request),
      outcome: 'unauthenticated',
      status: 401,
    })
    return failureLimit.refuse(addressOf(request), reason)
  }
  return async function identify(request: FastifyRequest): Promise<Caller> {
    const presented = bearerOf(request)
    if (!presented) throw refuse(request, 'bearer_missing')
    const hash = sha256(presented)
    const isOperator = operatorHashes.map((known) => constantTimeEqual(known, hash)).includes(true)
    if (isOperator) return { kind: 'operator' }
    const key = await resolveApiKey(presented)
    if (!key) throw refuse(request, 'bearer_unknown')
    const { tenantId, keyId, scopes, isExpired } = key
    if (isExpired) throw refuse(request, 'bearer_expired', key)
    return { kind: 'tenant_key', tenantId, keyId, scopes }
  }
}

/** Finds out who calls, for which tenant, and whether the route's declared scope allows it. Deny by default. */
export const apiAuth = fp(
  async (app, options: ApiAuthOptions) => {
    const identify = createIdentify(options)
    /** A key that is good and may not do this: whose it is is known, so the refusal is in its tenant's trail. */
    async function allowed<T>(request: FastifyRequest, check: () => T | Promise<T>): Promise<T> {
      try {
        return await check()
      } catch (error) {
        const { caller } = request
        if (error instanceof AppError && error.code === 'forbidden' && caller?.kind === 'tenant_key')
          options.refusals.note({
            tenantId: caller.tenantId,
            actor: actorOf(caller),
            action: `auth.${error.reason}`,
            requestId: request.id,
            address: addressOf(request),
            outcome: 'forbidden',
            status: 403,
          })
        throw error
      }
    }
    async function authorize(request: FastifyRequest, caller: Caller, needed: string): Promise<void> {
      if (needed === 'operator') {
        if (caller.kind !== 'operator') throw forbidden('operator_only', 'This route takes the operator key.')
        if (!request.routeOptions.config.forTenant) return
      } else requireScope(caller, needed)
      request.tenantId = await actFor(caller, request, options)
    }
    app.decorateRequest('caller', null)
    app.decorateRequest('tenantId', '')
    app.addHook('onRequest', async (request, reply) => {
      reply.cacheControl('no-store') // keys and pass URLs are shown once, hosts have names and addresses
      const { caller: needed } = request.routeOptions.config
      if (!needed) return // a refused method; it answers 405 by itself
      const caller = await identify(request)
      request.caller = caller
      await allowed(request, () => authorize(request, caller, needed))
    })
    // before an Idempotency-Key may answer
    app.addHook('preHandler', async (request) => {
      const needed = request.routeOptions.config.alsoNeeds?.(request)
      if (needed) await allowed(request, () => requireScope(request.caller, needed))
    })
  },
  { name: 'api-auth', dependencies: ['@fastify/sensible', 'error-handler', 'route-contract'] },
)
