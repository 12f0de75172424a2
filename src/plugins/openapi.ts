import { hash } from 'node:crypto'
import swagger from '@fastify/swagger'
import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import packageJson from '../../package.json' with { type: 'json' }

/** The page starts its script in a line of its own, whose hash is allowed; the script builds its styles as it goes. */
function policyOf(page: string): string {
  const inline = [...page.matchAll(/<script(?![^>]*\bsrc=)[^>]*>(.*?)<\/script>/gs)].map(([, text = '']) => text)
  const hashes = inline.map((text) => `'sha256-${hash('sha256', text, 'base64')}'`)
  return [
    "default-src 'none'",
    ["script-src 'self'", ...hashes].join(' '),
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'", // the document, and requests that a reader tries out
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
}

/**
 * The reference's own pages under `/docs`, in an app of their own that is made at the first visit: they are 5 MB of script,
 * a third of the start-up time of a service that is rarely asked for them.
 */
async function docs(app: FastifyInstance): Promise<void> {
  let pages: FastifyInstance | null = null
  async function make(): Promise<FastifyInstance> {
    const { default: apiReference } = await import('@scalar/fastify-api-reference')
    const made = Fastify()
    const configuration = {
      title: 'Latchkey API',
      url: '/openapi.json',
      withDefaultFonts: false, // nothing here is fetched from elsewhere
      telemetry: false,
      agent: { disabled: true },
    }
    await made.register(apiReference, { routePrefix: '/docs', configuration: configuration as never })
    return made
  }
  for (const url of ['/docs', '/docs/*'])
    app.get(url, { schema: { hide: true }, config: { caller: 'anyone' } }, async (request, reply) => {
      const path = request.url.split('?')[0] as string
      if (path === '/docs') return reply.redirect('/docs/', 302) // the page names its script relative to itself
      pages ??= await make()
      const page = await pages.inject(path)
      if (String(page.headers['content-type']).startsWith('text/html'))
        reply.headers({
          'content-security-policy': policyOf(page.payload),
          'cross-origin-opener-policy': 'same-origin',
        })
      return reply.status(page.statusCode).headers(page.headers).send(page.rawPayload)
    })
}

/** `/openapi.json` and `/docs`, both from the schemas that check requests. Register before every route. */
export const openapi = fp(
  async (app) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Latchkey',
          version: packageJson.version,
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
          { name: 'zoom-events', description: 'What Zoom calls; needs its signature' },
          { name: 'hosts' },
          { name: 'organizations' },
          { name: 'meetings' },
          { name: 'mints' },
          { name: 'audit', description: 'Who did what, and who was refused' },
          { name: 'webhook-endpoints', description: 'Who is told of events, and what became of each' },
          { name: 'tenants', description: 'Operator' },
          { name: 'zoom-apps', description: 'Operator' },
          { name: 'recall-workspaces', description: 'Operator' },
          { name: 'operations' },
        ],
      },
      transform: ({ schema, url, route, ...rest }) => {
        const caller = route.config?.caller
        const isApi = caller !== undefined && !['anyone', 'bot', 'zoom', 'browser'].includes(caller)
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
    await app.register(docs)
  },
  { name: 'openapi', dependencies: ['route-contract'] },
)
