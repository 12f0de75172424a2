import type { LookupAddress } from 'node:dns'
import { Agent, type Dispatcher } from 'undici'
import { signStandardWebhook } from '../lib/standard-webhooks.ts'
import { isAllowedAddress, receiverUrlFault } from './receiver-url.ts'
import { createResolver, type Resolve } from './resolver.ts'

export interface SenderOptions {
  allowsLoopback: boolean
  /** Of one attempt, resolving and connecting included; 10 s by default. */
  deadlineMs?: number
  /** Gives every address of a name; asks the name servers by default. */
  resolve?: Resolve
}

export interface SendRequest {
  url: string
  /** The keys that sign, the newest first. */
  secrets: Buffer[]
  /** The same at every attempt: receivers know by it what they have. */
  id: string
  timestampSeconds: number
  body: string
}

/** What became of an attempt; never what the receiver wrote. */
export type SendOutcome =
  | { outcome: 'delivered'; status: number }
  | { outcome: 'refused'; status: number }
  | { outcome: 'failed'; reason: 'timeout' | 'dns' | 'address_not_allowed' | 'tls' | 'connect' }

export interface WebhookSender {
  send(request: SendRequest): Promise<SendOutcome>
  close(): Promise<void>
}

/** A slow receiver holds a worker this long. */
const DEADLINE_MS = 10_000
const NOT_ALLOWED = 'ADDRESS_NOT_ALLOWED'
const UNRESOLVED = 'UNRESOLVED'

const coded = (code: string): Error => Object.assign(new Error(`No address to ask: ${code}`), { code })

/**
 * Resolves a name and refuses it unless every one of its addresses may be asked. The connection then goes to these very
 * addresses: nothing is resolved a second time, so an answer that changes in between (DNS rebinding) changes nothing.
 */
function checkedLookup(resolve: Resolve, allowsLoopback: boolean) {
  return (
    hostname: string,
    _options: object,
    done: (error: Error | null, addresses: LookupAddress[]) => void,
  ): void => {
    const check = (addresses: LookupAddress[]) => {
      const isAllowed =
        addresses.length > 0 && addresses.every(({ address }) => isAllowedAddress(address, { allowsLoopback }))
      if (isAllowed) return done(null, addresses)
      done(coded(NOT_ALLOWED), [])
    }
    const fail = ({ code }: { code?: string }) => done(coded(code === 'ETIMEOUT' ? code : UNRESOLVED), [])
    resolve(hostname).then(check, fail)
  }
}

function reasonOf(error: unknown, signal: AbortSignal): Extract<SendOutcome, { outcome: 'failed' }>['reason'] {
  const { code = '', cause } = error as { code?: string; cause?: { code?: string } }
  const codes = `${code} ${cause?.code ?? ''}`
  if (codes.includes(NOT_ALLOWED)) return 'address_not_allowed'
  if (signal.aborted || /TIMEOUT|ETIMEDOUT/.test(codes)) return 'timeout'
  if (codes.includes(UNRESOLVED)) return 'dns'
  if (/CERT|TLS|SSL|UNABLE_TO_|EPROTO/.test(codes)) return 'tls'
  return 'connect'
}

/**
 * Sends events to receivers that tenants named: to public addresses only, over connections of their own, without redirects, in
 * ten seconds or not at all. What a receiver answers beside its status is not read.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function createWebhookSender(options: SenderOptions): WebhookSender {
  const { allowsLoopback, deadlineMs = DEADLINE_MS, resolve = createResolver() } = options
  const agent: Dispatcher = new Agent({
    allowH2: false,
    pipelining: 0,
    maxResponseSize: 16_384,
    connect: {
      timeout: deadlineMs,
      lookup: checkedLookup(resolve, allowsLoopback),
      rejectUnauthorized: true, // whatever NODE_TLS_REJECT_UNAUTHORIZED says
    },
  })
  return {
    async send({ url, secrets, id, timestampSeconds, body }) {
      // again here: an address in the URL itself is never resolved, and rules may have changed since it was stored
      if (receiverUrlFault(url, options) !== null) return { outcome: 'failed', reason: 'address_not_allowed' }
      const { origin, pathname, search } = new URL(url)
      const signal = AbortSignal.timeout(deadlineMs)
      try {
        const reply = await agent.request({
          origin,
          path: `${pathname}${search}`,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'user-agent': 'Latchkey-Webhooks/1',
            'webhook-id': id,
            'webhook-timestamp': String(timestampSeconds),
            'webhook-signature': signStandardWebhook(secrets, { id, timestampSeconds, body }),
          },
          body,
          signal,
          reset: true,
        })
        reply.body.on('error', () => {}).destroy()
        const isTaken = reply.statusCode >= 200 && reply.statusCode < 300
        return { outcome: isTaken ? 'delivered' : 'refused', status: reply.statusCode }
      } catch (error) {
        return { outcome: 'failed', reason: reasonOf(error, signal) }
      }
    },
    close: () => agent.destroy(),
  }
}
