import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import { errorResponses } from '../../plugins/responses.ts'
import { auditQuery, auditResponse, operatorAuditQuery } from './schemas.ts'
import type { AuditTrail, Reader } from './service.ts'
import { lineOf, toJsonLine } from './shape.ts'

/** An export ends here, and says where the next one goes on: a connection must not be held for a year of lines. */
const MAX_EXPORTED = 100_000
const NDJSON = 'application/x-ndjson'

export interface AuditRouteOptions {
  trail: AuditTrail
  /** A tenant's own lines, or everybody's under `/operator`. */
  owner: 'tenant' | 'operator'
}

async function* jsonLines(items: ReturnType<AuditTrail['export']>) {
  for await (const item of items) yield `${toJsonLine(item)}\n`
}

export const auditRoutes: FastifyPluginAsyncZod<AuditRouteOptions> = async (app, { trail, owner }) => {
  const tags = ['audit']
  const response = { 200: auditResponse, ...errorResponses }

  async function answer(
    request: FastifyRequest,
    reader: Reader,
    query: z.output<typeof auditQuery>,
    reply: FastifyReply,
  ) {
    const { actor, action, subject_id: subjectId, outcome, since, until, limit, cursor, format } = query
    const filter = { actor, action, subjectId, outcome, since, until }
    const accepts = request.headers.accept?.includes(NDJSON) ? 'ndjson' : 'json'
    if ((format ?? accepts) === 'ndjson') {
      const lines = jsonLines(trail.export(reader, filter, MAX_EXPORTED, cursor))
      const first = await lines.next() // so that what is refused is a status and not half an answer
      return reply.type(`${NDJSON}; charset=utf-8`).send(Readable.from(startingWith(first, lines)))
    }
    const { data, nextCursor } = await trail.list(reader, filter, limit, cursor)
    return { data: data.map(lineOf), next_cursor: nextCursor }
  }

  if (owner === 'tenant')
    app.get(
      '/audit',
      {
        config: { caller: 'audit:read' },
        schema: { operationId: 'listAudit', tags, querystring: auditQuery, response },
      },
      async (request, reply) => {
        const reader = { tenantId: request.tenantId, isOperator: request.caller?.kind === 'operator' }
        return await answer(request, reader, request.query, reply)
      },
    )
  else
    app.get(
      '/operator/audit',
      {
        config: { caller: 'operator' },
        schema: { operationId: 'listOperatorAudit', tags, querystring: operatorAuditQuery, response },
      },
      async (request, reply) => {
        const { tenant_id: tenantId, ...query } = request.query
        return await answer(request, { tenantId, isOperator: true }, query, reply)
      },
    )
}

async function* startingWith(first: IteratorResult<string>, rest: AsyncGenerator<string>) {
  if (!first.done) yield first.value
  yield* rest
}
