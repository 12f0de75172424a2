import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { RequestTrail } from '../audit/request-trail.ts'
import { isUuid } from '../lib/ids.ts'
import { actorOf } from './api-auth.ts'
import { addressOf } from './http-edge.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The open line of the audit trail; empty where none is. */
    auditLine: string
  }
}

/** Routes under it are the operator's and about the tenant of the path: it is that tenant's trail they belong to. */
const OF_ONE_TENANT = '/v1/tenants/:id'

/** GET changes nothing, and no answer to one holds a secret (the two that give tokens out are POST). Refused methods have no caller. */
const isAudited = ({ method, routeOptions }: FastifyRequest) =>
  method !== 'GET' && routeOptions.config.caller !== undefined

function tenantOf({ tenantId, routeOptions, params }: FastifyRequest): string | null {
  if (tenantId !== '') return tenantId
  return routeOptions.url?.startsWith(OF_ONE_TENANT) ? (params as { id: string }).id : null
}

/** Of an answer: the id of what was made, or the code of the error. Anything else of it is nobody's business. */
function toldBy(payload: unknown): { id?: unknown; code?: unknown } {
  if (typeof payload !== 'string' || !payload.startsWith('{')) return {}
  return JSON.parse(payload) as { id?: unknown; code?: unknown }
}

function outcomeOf(request: FastifyRequest, reply: FastifyReply, payload: unknown) {
  const { statusCode: status } = reply
  const isDone = status < 400
  const { id: made, code } = !isDone || status === 201 ? toldBy(payload) : {}
  const madeId = isDone && typeof made === 'string' && isUuid(made) ? made : null
  const success = reply.hasHeader('idempotency-replayed') ? 'replayed' : 'done'
  const outcome = isDone ? success : typeof code === 'string' ? code : 'internal_error'
  return { id: request.auditLine, outcome, status, madeId }
}

/**
 * A line of the audit trail for every request of the scope that may change something: by default, so that no route can forget it.
 * It is written after caller and request were checked and before an Idempotency-Key or the handler answers; without it nothing is
 * done. Register it between `apiAuth` and `idempotency`.
 */
export const audit = fp(
  async (app, { trail }: { trail: RequestTrail }) => {
    app.decorateRequest('auditLine', '')
    app.addHook('preHandler', async (request) => {
      if (!isAudited(request)) return
      request.auditLine = await trail.open({
        tenantId: tenantOf(request),
        actor: actorOf(request.caller),
        action: String(request.routeOptions.schema?.operationId),
        subjectIds: Object.values((request.params ?? {}) as Record<string, string>).map((id) => id.toLowerCase()),
        requestId: request.id,
        address: addressOf(request),
      })
    })
    app.addHook('onSend', async (request, reply, payload) => {
      if (request.auditLine === '') return
      trail.settle(outcomeOf(request, reply, payload))
      request.auditLine = '' // an answer that could not be sent is followed by another
    })
  },
  { name: 'audit', dependencies: ['api-auth'] },
)
