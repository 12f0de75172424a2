import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { emptyBody, errorResponses } from '../../plugins/responses.ts'
import type { DeliveryService } from './deliveries.ts'
import {
  deliveriesParams,
  deliveriesResponse,
  deliveryParams,
  deliveryResponse,
  listDeliveriesQuery,
} from './delivery-schemas.ts'
import type { Delivery } from './delivery-store.ts'

const shape = (delivery: Delivery) => ({
  id: delivery.id,
  endpoint_id: delivery.endpointId,
  event_id: delivery.eventId,
  event_type: delivery.eventType,
  status: delivery.status,
  attempts: delivery.attempts,
  next_attempt_at: delivery.nextAttemptAt?.toISOString() ?? null,
  last_attempt_at: delivery.lastAttemptAt?.toISOString() ?? null,
  last_status_code: delivery.lastStatusCode,
  last_error: delivery.lastError,
  delivered_at: delivery.deliveredAt?.toISOString() ?? null,
  created_at: delivery.createdAt.toISOString(),
})
const tags = ['webhook-endpoints']

export interface DeliveryRouteOptions {
  deliveries: Pick<DeliveryService, 'list' | 'redeliver'>
  /** A tenant's own endpoints, or the operator's under `/operator`. */
  owner: 'tenant' | 'operator'
}

export const deliveryRoutes: FastifyPluginAsyncZod<DeliveryRouteOptions> = async (app, { deliveries, owner }) => {
  const isOperators = owner === 'operator'
  const base = `${isOperators ? '/operator' : ''}/webhook-endpoints/:id/deliveries`
  const named = isOperators ? 'Operator' : ''
  const ownerOf = ({ tenantId }: { tenantId: string }) => (isOperators ? null : tenantId)

  app.get(
    base,
    {
      config: { caller: isOperators ? 'operator' : 'hosts:read' },
      schema: {
        operationId: `list${named}WebhookDeliveries`,
        tags,
        params: deliveriesParams,
        querystring: listDeliveriesQuery,
        response: { 200: deliveriesResponse, ...errorResponses },
      },
    },
    async (request) => {
      const { params, query } = request
      const { data, nextCursor } = await deliveries.list(ownerOf(request), params.id, query.status, query)
      return { data: data.map(shape), next_cursor: nextCursor }
    },
  )

  app.post(
    `${base}/:delivery_id/redeliver`,
    {
      config: { caller: isOperators ? 'operator' : 'hosts:write' },
      schema: {
        operationId: `redeliver${named}WebhookDelivery`,
        tags,
        params: deliveryParams,
        body: emptyBody,
        response: { 202: deliveryResponse, ...errorResponses },
      },
    },
    async (request, reply) => {
      const { id, delivery_id: deliveryId } = request.params
      return reply.status(202).send(shape(await deliveries.redeliver(ownerOf(request), id, deliveryId)))
    },
  )
}
