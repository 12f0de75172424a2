import { createHmac, randomBytes } from 'node:crypto'
import { type CallResult, sendCall } from './call.ts'
import { type RecallCallInput, recallCallInput } from './schemas.ts'
import { ControlError, parseInput } from './state.ts'

export interface SignInput {
  /** `whsec_` and the base64 of the key; several make several signatures in one header, as during a rotation. */
  secrets: string[]
  id: string
  /** Seconds since 1970. */
  timestamp: number
  /** Empty for a GET, which is what bots send. */
  payload?: string
  family?: 'webhook' | 'svix'
}

/** Recall's documented limit for a callback is 5 s. */
const DEFAULT_TIMEOUT_MS = 5000

/** The three headers of Standard Webhooks, symmetric `v1`. @see https://www.standardwebhooks.com */
export function signRecallRequest(input: SignInput): Record<string, string> {
  const { secrets, id, timestamp, payload = '', family = 'webhook' } = input
  const signatures = secrets.map((secret) => {
    const key = keyOf(secret)
    return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${payload}`).digest('base64')}`
  })
  return {
    [`${family}-id`]: id,
    [`${family}-timestamp`]: String(timestamp),
    [`${family}-signature`]: signatures.join(' '),
  }
}

function keyOf(secret: string): Buffer {
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1]
  if (encoded === undefined) throw new ControlError('secret: expected whsec_ followed by base64')
  return Buffer.from(encoded, 'base64')
}

/** Makes requests as Recall's bots do: GET, no body, no Authorization, redirects not followed. */
export function createRecallCaller() {
  const idOfBot = new Map<string, string>()
  const newId = () => `msg_${randomBytes(20).toString('base64url')}`

  function idFor(bot: string | undefined): string {
    if (bot === undefined) return newId()
    const id = idOfBot.get(bot) ?? newId()
    idOfBot.set(bot, id)
    return id
  }

  /** One signed request; without `secret` an unsigned one, as from a workspace that has none. @throws ControlError */
  async function call(input: RecallCallInput): Promise<CallResult> {
    const given = parseInput(recallCallInput, input, 'Recall call')
    const secrets = given.secret === undefined ? [] : [given.secret].flat()
    const id = given.id ?? idFor(given.bot)
    const timestamp = given.timestamp ?? Math.floor(Date.now() / 1000)
    const family = given.family ?? 'webhook'
    const headers = secrets.length === 0 ? {} : signRecallRequest({ secrets, id, timestamp, family })
    const request = { method: given.method ?? 'GET', url: given.url, headers }
    return await sendCall(request, given.timeout_ms ?? DEFAULT_TIMEOUT_MS)
  }

  return { call, clear: () => idOfBot.clear() }
}

export type RecallCaller = ReturnType<typeof createRecallCaller>
