import helmet from '@fastify/helmet'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { Refusals } from '../../audit/refusals.ts'
import type { AppError, ErrorCode } from '../../errors.ts'
import { prepareErrorReply, toAppError } from '../../plugins/error-handler.ts'
import { addressOf } from '../../plugins/http-edge.ts'
import { createFlowCookies } from './flow-cookie.ts'
import type { ConnectFlowService, Ended } from './flow-service.ts'
import { PAGE_CSP } from './page-style.ts'
import { connectedPage, failedPage } from './pages.ts'
import { withResult } from './return-url.ts'
import { callbackQuery, htmlPage, openQuery, redirectAnswer } from './schemas.ts'

export interface ConnectPageOptions {
  flows: ConnectFlowService
  refusals: Pick<Refusals, 'note'>
  /** Of PUBLIC_BASE_URL, never of a header. */
  isHttps: boolean
}

/** The codes that a return URL may be told (contract §4); anything else is `connect_failed` there. */
const TOLD_CODES: readonly ErrorCode[] = [
  'access_denied',
  'email_mismatch',
  'email_unverifiable',
  'other_zoom_user',
  'already_connected',
  'zoom_unavailable',
  'app_misconfigured',
  'connect_failed',
]

/** Beside what helmet sends. The policy is here because its hash must be that of the style, byte by byte. */
const HEADERS = {
  'content-security-policy': PAGE_CSP,
  'permissions-policy': 'camera=(), display-capture=(), geolocation=(), microphone=()', // helmet has none
  'cache-control': 'no-store',
}
const HELMET = {
  contentSecurityPolicy: false,
  strictTransportSecurity: false, // on every answer already, and only on https
  crossOriginOpenerPolicy: false, // on pages alone, see sendPage
  xFrameOptions: { action: 'deny' },
} as const
const pageResponses = { '4xx': htmlPage, '5xx': htmlPage }

/** A redirect must not have the opener policy: a tenant that opened the link in a window of its own would lose sight of it. */
const sendPage = (reply: FastifyReply, markup: string) =>
  reply.header('cross-origin-opener-policy', 'same-origin').type('text/html; charset=utf-8').send(markup)

function sendFailure(error: AppError, tenantName: string | null, request: FastifyRequest, reply: FastifyReply) {
  return sendPage(prepareErrorReply(error, request, reply), failedPage(error, { tenantName, requestId: request.id }))
}

function sendFailed(ended: Extract<Ended, { outcome: 'failed' }>, request: FastifyRequest, reply: FastifyReply) {
  const error = toAppError(ended.failure)
  if (ended.returnUrl === null) return sendFailure(error, ended.tenantName, request, reply)
  prepareErrorReply(error, request, reply).removeHeader('retry-after')
  const code = TOLD_CODES.includes(error.code) ? error.code : 'connect_failed'
  return reply.redirect(withResult(ended.returnUrl, { status: 'failed', code }), 302)
}

function sendConnected(ended: Extract<Ended, { outcome: 'connected' }>, request: FastifyRequest, reply: FastifyReply) {
  const id = ended.kind === 'host' ? { host_id: ended.hostId } : { organization_id: ended.organizationId }
  request.log.info(id, 'zoom connected')
  if (ended.returnUrl === null) return sendPage(reply, connectedPage(ended))
  return reply.redirect(withResult(ended.returnUrl, { status: 'connected', ...id }), 302)
}

function sendEnded(ended: Ended, request: FastifyRequest, reply: FastifyReply) {
  if (ended.outcome === 'elsewhere') return reply.redirect(ended.location, 302)
  if (ended.outcome === 'failed') return sendFailed(ended, request, reply)
  return sendConnected(ended, request, reply)
}

/** `GET /zoom/oauth` and its callback: pages for people, so every failure in this scope is one too. */
export const connectPageRoutes: FastifyPluginAsyncZod<ConnectPageOptions> = async (
  app,
  { flows, refusals, isHttps },
) => {
  const cookies = createFlowCookies({ isHttps })

  app.setErrorHandler((thrown, request, reply) => {
    const error = toAppError(thrown)
    if (error.code === 'invalid_flow')
      refusals.note({
        tenantId: null, // what names no flow names no tenant either
        actor: 'anonymous',
        action: `auth.flow_${error.reason}`,
        requestId: request.id,
        address: addressOf(request),
        outcome: error.code,
        status: error.rendering.status,
      })
    return sendFailure(error, null, request, reply)
  })
  await app.register(helmet, HELMET)
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(HEADERS)
  })

  app.get(
    '/zoom/oauth',
    {
      config: { caller: 'browser' },
      schema: {
        operationId: 'openConnectLink',
        tags: ['connect'],
        querystring: openQuery,
        response: { 302: redirectAnswer, ...pageResponses },
      },
    },
    async (request, reply) => {
      // GET starts a flow: the link comes by mail. Nothing is granted by it, and the next opening voids it.
      const { location, flow } = await flows.open(request.query.session, addressOf(request))
      if (flow) reply.header('set-cookie', cookies.set(flow.state, flow.binding))
      return reply.redirect(location, 302)
    },
  )

  app.get(
    '/zoom/oauth/callback',
    {
      config: { caller: 'browser' },
      schema: {
        operationId: 'connectCallback',
        tags: ['connect'],
        querystring: callbackQuery,
        response: { 200: htmlPage, 302: redirectAnswer, ...pageResponses },
      },
    },
    async (request, reply) => {
      // GET connects: OAuth returns by redirect. The state is good once, and only in the browser that holds the cookie.
      const { state } = request.query
      const binding = state === undefined ? null : cookies.read(state, request.headers.cookie)
      if (state !== undefined) reply.header('set-cookie', cookies.clear(state))
      return sendEnded(await flows.callback(request.query, binding), request, reply)
    },
  )
}
