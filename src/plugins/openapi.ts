import swagger from '@fastify/swagger'
import apiReference from '@scalar/fastify-api-reference'
import fp from 'fastify-plugin'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'

const VERSION = '1.0.0' // of the API, by semver over what docs/api.md promises

/** `/openapi.json` and `/docs`, both from the schemas that check requests. Register before every route. */
export const openapi = fp(
  async (app) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Latchkey',
          version: VERSION,
          description:
            'Join, OBF and ZAK tokens for meeting bots, minted from the host’s own Zoom authorisation. ' +
            'Times are RFC 3339, ids UUIDs, errors RFC 9457.',
          license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
        },
        components: {
          securitySchemes: {
            apiKey: { type: 'http', scheme: 'bearer', description: 'A tenant’s key or the operator’s.' },
          },
        },
        tags: [
          { name: 'connect', description: 'Once per user: a connect session' },
          { name: 'passes', description: 'Once per bot: a pass' },
          { name: 'bots', description: 'What a bot calls; needs a Recall signature and a pass' },
          { name: 'hosts' },
          { name: 'organizations' },
          { name: 'meetings' },
          { name: 'mints' },
          { name: 'tenants', description: 'Operator' },
          { name: 'zoom-apps', description: 'Operator' },
          { name: 'recall-workspaces', description: 'Operator' },
          { name: 'operations' },
        ],
      },
      transform: ({ schema, url, route, ...rest }) => {
        const caller = route.config?.caller
        const isApi = caller !== undefined && !['anyone', 'bot', 'browser'].includes(caller)
        // the scope that a tenant's key needs, or that the route takes the operator's key alone
        const secured = isApi ? { ...schema, security: [{ apiKey: [caller] }] } : schema
        return jsonSchemaTransform({ schema: secured, url, route, ...rest } as Parameters<
          typeof jsonSchemaTransform
        >[0])
      },
      transformObject: jsonSchemaTransformObject,
    })
    app.get('/openapi.json', { schema: { hide: true }, config: { caller: 'anyone' } }, async (_request, reply) =>
      reply.type('application/json; charset=utf-8').send(JSON.stringify(app.swagger())),
    )
    await app.register(apiReference, {
      routePrefix: '/docs',
      configuration: {
        title: 'Latchkey API',
        url: '/openapi.json',
        telemetry: false,
        agent: { disabled: true },
      } as never,
    })
  },
  { name: 'openapi', dependencies: ['route-contract'] },
)
