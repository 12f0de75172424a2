import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../errors.ts'
import { headerLines } from '../lib/header-lines.ts'
import { constantTimeEqual, sha256 } from '../lib/ids.ts'
import type { FailureLimit } from './failure-limit.ts'
import { addressOf } from './http-edge.ts'

/** Who calls the management API. */
export type Caller = { kind: 'operator' } | { kind: 'tenant_key'; tenantId: string; keyId: string; scopes: string[] }

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | null
    /** The tenant the request acts for; empty outside the tenant scope. */
    tenantId: string
  }
}

export interface ApiAuthOptions {
  operatorKeys: string[]
  resolveApiKey: (presented: string) => Promise<{ tenantId: string; keyId: string; scopes: string[] } | null>
  resolveTenant: (idOrSlug: string | undefined) => Promise<string>
  failureLimit: FailureLimit
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

async function actFor(caller: Caller, request: FastifyRequest, options: ApiAuthOptions): Promise<string> {
  const named = headerTenant(request)
  if (caller.kind === 'operator') return await options.resolveTenant(named)
  if (named !== undefined) {
    const tenantId = await options.resolveTenant(named).catch(() => null)
    if (tenantId !== caller.tenantId)
      throw new AppError('forbidden', 'This key belongs to one tenant and acts for no other.')
  }
  return caller.tenantId
}

/** The operator's key has every scope. @throws forbidden */
function requireScope(caller: Caller | null, scope: string): void {
  const isAllowed = caller?.kind === 'operator' || caller?.scopes.includes(scope)
  if (!isAllowed) throw new AppError('forbidden', `This key lacks the scope ${scope}.`)
}

/** Finds out who calls, for which tenant, and whether the route's declared scope allows it. Deny by default. */
export const apiAuth = fp(
  async (app, options: ApiAuthOptions) => {
    const operatorHashes = options.operatorKeys.map(sha256)
    async function identify(request: FastifyRequest): Promise<Caller> {
      const presented = bearerOf(request)
      if (!presented) throw options.failureLimit.refuse(addressOf(request), 'bearer_missing')
      const hash = sha256(presented)
      const isOperator = operatorHashes.map((known) => constantTimeEqual(known, hash)).includes(true)
      if (isOperator) return { kind: 'operator' }
      const key = await options.resolveApiKey(presented)
      if (!key) throw options.failureLimit.refuse(addressOf(request), 'bearer_unknown')
      return { kind: 'tenant_key', ...key }
    }
    app.decorateRequest('caller', null)
    app.decorateRequest('tenantId', '')
    app.addHook('onRequest', async (request, reply) => {
      reply.cacheControl('no-store') // keys and pass URLs are shown once, hosts have names and addresses
      const { caller: needed, forTenant } = request.routeOptions.config
      if (!needed) return // a refused method; it answers 405 by itself
      const caller = await identify(request)
      request.caller = caller
      if (needed === 'operator') {
        if (caller.kind !== 'operator') throw new AppError('forbidden', 'This route takes the operator key.')
        if (!forTenant) return
      } else requireScope(caller, needed)
      request.tenantId = await actFor(caller, request, options)
    })
    // before an Idempotency-Key may answer
    app.addHook('preHandler', async (request) => {
      const needed = request.routeOptions.config.alsoNeeds?.(request)
      if (needed) requireScope(request.caller, needed)
    })
  },
  { name: 'api-auth', dependencies: ['@fastify/sensible', 'error-handler', 'route-contract'] },
)
