import type { IncomingMessage } from 'node:http'
import { apiRefusal } from './refusal.ts'

/** Zoom refuses large requests; nothing we are sent comes near this. */
const MAX_BODY_BYTES = 256 * 1024

/** A request to the simulated Zoom, and the facts about it that the log and the faults use. */
export interface ZoomRequest {
  method: string
  path: string
  /** Path parts, percent-decoded. */
  segments: string[]
  query: URLSearchParams
  headers: IncomingMessage['headers']
  /** The body's fields when it was sent as a form, else null. */
  form: URLSearchParams | null
  body: Buffer
  facts: RequestFacts
}

interface RequestFacts {
  clientId: string | null
  userId: string | null
  grantType: string | null
  /** The token or code that was presented. */
  credential: string | null
  /** The token that was minted. */
  minted: string | null
}

/** Reads a request to its end. @throws Refusal 413 when it is larger than 256 KiB */
export async function readRequest(incoming: IncomingMessage): Promise<ZoomRequest> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= MAX_BODY_BYTES) chunks.push(chunk)
  }
  if (size > MAX_BODY_BYTES) throw apiRefusal(413, 413, 'Request entity too large.')
  const body = Buffer.concat(chunks)
  const [path = '/', ...search] = (incoming.url ?? '/').split('?')
  const isForm = /^application\/x-www-form-urlencoded\s*(;|$)/i.test(incoming.headers['content-type'] ?? '')
  return {
    method: incoming.method ?? 'GET',
    path,
    segments: path.split('/').filter(Boolean).map(decoded),
    query: new URLSearchParams(search.join('?')),
    headers: incoming.headers,
    form: isForm ? new URLSearchParams(body.toString('utf8')) : null,
    body,
    facts: { clientId: null, userId: null, grantType: null, credential: null, minted: null },
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** Client id and secret of a Basic header, or null. @see RFC 6749 section 2.3.1 */
export function basicCredentials(header: string | undefined): { id: string; secret: string } | null {
  const encoded = /^Basic ([A-Za-z0-9+/=_-]+)$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return null
  const [id = '', ...secret] = Buffer.from(encoded, 'base64').toString('utf8').split(':')
  return secret.length === 0 ? null : { id: decoded(id), secret: decoded(secret.join(':')) }
}

/** The token of a Bearer header, or null. */
export function bearerToken(header: string | undefined): string | null {
  return /^Bearer (\S+)$/i.exec(header ?? '')?.[1] ?? null
}
