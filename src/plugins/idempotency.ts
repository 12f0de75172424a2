import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AppError } from '../errors.ts'
import { jitter, sleep } from '../lib/deadline.ts'
import { headerLines } from '../lib/header-lines.ts'
import { constantTimeEqual, sha256 } from '../lib/ids.ts'
import { OPERATOR_ID, type SecretBox } from '../secrets/box.ts'
import { createIdempotencyStore, type IdempotencyStore, type KnownKey } from './idempotency-store.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The row that this request took by its Idempotency-Key; empty without one. */
    idempotencyRow: string
    /**
     * Seals a successful JSON answer before it is given, for a statement that keeps it in the commit it stands for; null
     * without a key. `status` is the answer's.
     */
    sealAnswer: (status: number, body: object) => Promise<SealedAnswer | null>
  }
}

/** An answer for the row that this request took by its Idempotency-Key. */
export interface SealedAnswer {
  rowId: string
  status: number
  sealed: Buffer
}

interface KeptAnswer {
  contentType: string
  body: string
}

const WAIT_MS = 5000 // within what clients wait for an answer
const JSON_TYPE = 'application/json; charset=utf-8' // as Fastify sends it
const KEY = /^[\x20-\x7e]{1,255}$/

function keyOf({ raw }: FastifyRequest): string | null {
  const [value, ...more] = headerLines(raw.rawHeaders, 'idempotency-key')
  if (value === undefined) return null
  if (more.length === 0 && KEY.test(value)) return value
  throw new AppError('invalid_request', 'Idempotency-Key must be one header of 1 to 255 printable characters.')
}

/** Two bodies that mean the same are the same: members in the order of their names. Depth is bounded by the body's schema. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null || value instanceof Date || Buffer.isBuffer(value)) return value
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return members.map(([name, member]) => [name, canonical(member)])
}

function requestHashOf({ method, routeOptions, params, body }: FastifyRequest): Buffer {
  const text = JSON.stringify([method, routeOptions.url, canonical(params), canonical(body)])
  return createHash('sha256').update(text).digest()
}

const isAnsweredAnew = ({ routeOptions }: FastifyRequest) => routeOptions.config.isAnsweredAnew === true
const scopeOf = ({ tenantId }: FastifyRequest) => (tenantId === '' ? OPERATOR_ID : tenantId)
const placeOf = (ownerId: string, rowId: string) =>
  ({ ownerId, table: 'idempotency_keys', column: 'response_ct', rowId, generation: 0 }) as const

function createIdempotency(store: IdempotencyStore, box: SecretBox) {
  async function replay(known: KnownKey, scopeId: string, requestHash: Buffer, reply: FastifyReply): Promise<void> {
    if (!constantTimeEqual(Buffer.from(known.requestHash), requestHash))
      throw new AppError('conflict', 'This Idempotency-Key was used for another request; choose a new one.')
    if (known.status === null || known.responseCt === null) {
      reply.header('retry-after', '1')
      throw new AppError('conflict', 'A request with this Idempotency-Key is under way; ask again for its answer.')
    }
    const kept = JSON.parse(await box.open(placeOf(scopeId, known.id), known.responseCt)) as KeptAnswer
    if (kept.contentType) reply.type(kept.contentType)
    await reply.status(known.status).header('idempotency-replayed', 'true').send(kept.body)
  }
  /** A twin that is under way is waited for: a client that asks again after a time-out wants its answer, not a conflict. */
  async function settled(scopeId: string, keyHash: Buffer, requestHash: Buffer): Promise<KnownKey | null> {
    const endMs = performance.now() + WAIT_MS
    for (;;) {
      const known = await store.read(scopeId, keyHash)
      const isTwin = known !== null && constantTimeEqual(Buffer.from(known.requestHash), requestHash)
      if (!known || !isTwin || known.status !== null || performance.now() > endMs) return known
      await sleep(jitter(50, 150))
    }
  }
  const sealed = (request: FastifyRequest, kept: KeptAnswer) =>
    box.seal(placeOf(scopeOf(request), request.idempotencyRow), JSON.stringify(kept))
  return {
    async sealAnswer(request: FastifyRequest, status: number, body: object): Promise<SealedAnswer | null> {
      const rowId = request.idempotencyRow
      if (rowId === '') return null
      return { rowId, status, sealed: await sealed(request, { contentType: JSON_TYPE, body: JSON.stringify(body) }) }
    },
    /** Takes the key, or answers in place of the handler. */
    async begin(request: FastifyRequest, reply: FastifyReply): Promise<void> {
      const key = keyOf(request)
      if (key === null) return
      const [scopeId, keyHash, requestHash] = [scopeOf(request), sha256(key), requestHashOf(request)]
      for (;;) {
        const taken = await store.claim(scopeId, keyHash, requestHash)
        if (taken !== null) {
          request.idempotencyRow = taken
          return
        }
        const known = await settled(scopeId, keyHash, requestHash)
        // the key's row is the first request's and stays; what it was answered is not good any more
        if (known && isAnsweredAnew(request) && constantTimeEqual(Buffer.from(known.requestHash), requestHash)) return
        if (known) return await replay(known, scopeId, requestHash, reply) // else freed just now: take it
      }
    },
    /** Keeps a success before it leaves; anything else frees the key. */
    async end(request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<void> {
      const rowId = request.idempotencyRow
      const isSuccess = reply.statusCode >= 200 && reply.statusCode < 300
      if (!isSuccess || (typeof payload !== 'string' && payload != null))
        return await store.free(scopeOf(request), rowId)
      const body = isAnsweredAnew(request) ? '' : (payload ?? '')
      const kept: KeptAnswer = { contentType: String(reply.getHeader('content-type') ?? ''), body }
      await store.keep(scopeOf(request), rowId, reply.statusCode, await sealed(request, kept))
    },
  }
}

/**
 * Idempotency-Key on every POST of the scope it is registered in: the same key, route and body within 24 h give the same
 * answer. Answers may hold secrets that are shown once, so they are sealed. Those of a route that is `isAnsweredAnew` are not kept
 * at all: an access token would be dead before the key is free.
 */
export const idempotency = fp(
  async (app, { box }: { box: SecretBox }) => {
    const { begin, end, sealAnswer } = createIdempotency(createIdempotencyStore(app.prisma, app.sql), box)
    app.decorateRequest('idempotencyRow', '')
    app.decorateRequest('sealAnswer', function (status: number, body: object) {
      return sealAnswer(this, status, body)
    })
    app.addHook('preHandler', async (request, reply) => {
      if (request.method === 'POST' && request.routeOptions.config.caller) await begin(request, reply)
    })
    app.addHook('onSend', async (request, reply, payload) => {
      if (request.idempotencyRow === '') return
      try {
        await end(request, reply, payload)
      } catch (error) {
        // the request itself is done: to fail it now would invite a second one
        request.log.error({ err: error }, 'the answer to an Idempotency-Key was not kept')
      }
    })
  },
  { name: 'idempotency', dependencies: ['api-auth', 'prisma'] },
)
