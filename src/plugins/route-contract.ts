import { METHODS } from 'node:http'
import type { FastifyInstance, HTTPMethods, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../errors.ts'
import type { Scope } from '../scopes.ts'
import type { PassKind } from '../zoom/scopes.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call: the operator's key, a key of the tenant with this scope, a bot, Zoom itself, a browser, or anyone. */
    caller?: 'operator' | Scope | 'bot' | 'zoom' | 'browser' | 'anyone'
    /** A route of the operator's key that acts for the tenant of `Latchkey-Tenant`, as a tenant's routes do. */
    forTenant?: true
    /** A scope more, for what the checked body asks. */
    alsoNeeds?: (request: FastifyRequest) => Scope | null
    kind?: PassKind
    /** The answer ends before an Idempotency-Key does: a repeated request is answered anew, and only another body is refused. */
    isAnsweredAnew?: true
  }
}

function faultsOf({ schema, config }: RouteOptions): string[] {
  const faults: string[] = []
  if (!config?.caller) faults.push('config.caller')
  if (!schema?.operationId) faults.push('schema.operationId')
  if (!schema?.tags?.length) faults.push('schema.tags')
  const statuses = Object.keys((schema?.response as object | undefined) ?? {})
  if (!statuses.some((status) => /^[23]/.test(status))) faults.push('schema.response of its success')
  for (const family of ['4xx', '5xx']) if (!statuses.includes(family)) faults.push(`schema.response[${family}]`)
  return faults
}

const methodsOf = (route: RouteOptions): HTTPMethods[] =>
  (Array.isArray(route.method) ? route.method : [route.method]) as HTTPMethods[]

/**
 * Refuses to boot a route that does not say who may call it and what it answers: without a response schema Fastify
 * sends every field a handler returns. Routes that a library brings (`hide: true`) are exempt.
 */
export const routeContract = fp(
  async (app) => {
    const known = new Map<string, Set<HTTPMethods>>()
    app.decorate('knownRoutes', known)
    app.addHook('onRoute', (route) => {
      const methods = known.get(route.url) ?? new Set<HTTPMethods>()
      for (const method of methodsOf(route)) methods.add(method)
      known.set(route.url, methods)
      if ((route.schema as { hide?: boolean } | undefined)?.hide) return
      const faults = faultsOf(route)
      if (faults.length > 0) throw new Error(`Route ${route.method} ${route.url} lacks ${faults.join(', ')}`)
    })
    // a body that is not there says as much as an empty one; Fastify would show the check a null, which is none of ours
    app.addHook('preValidation', async (request) => {
      if (request.body === undefined && request.routeOptions.schema?.body) request.body = {}
    })
  },
  { name: 'route-contract' },
)

/**
 * Answers 405 on every known path for every method it does not take, HEAD included, and those of WebDAV and the like: a path
 * that is there is not "not found". Call it after all routes.
 */
export function refuseOtherMethods(app: FastifyInstance): void {
  const unknown = METHODS.filter((method) => !app.supportedMethods.includes(method))
  for (const method of unknown) app.addHttpMethod(method)
  for (const [url, methods] of [...app.knownRoutes]) {
    if (url.includes('*')) continue
    const method = METHODS.filter((candidate) => !methods.has(candidate))
    const allow = [...methods].join(', ')
    app.route({
      method,
      url,
      schema: { hide: true },
      // before the body is read: what a refused method carries is nobody's business
      onRequest: async (_request, reply) => {
        reply.header('allow', allow)
        throw new AppError('method_not_allowed', `This path takes ${allow}.`)
      },
      handler: async () => {},
    })
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    knownRoutes: Map<string, Set<HTTPMethods>>
  }
}
