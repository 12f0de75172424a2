import { type ZoomReply, type ZoomRequest, ZoomTransportError } from '../../src/zoom/http.ts'
import type { Call, Ledger } from './ledger.ts'
import type { Replica } from './replica.ts'
import type { Effect, ModelZoom } from './zoom.ts'

const REFRESH_DEADLINE_MS = 8000

export interface TokenEndpointOptions {
  zoom: ModelZoom
  ledger: Ledger
  nowMs: () => number
  grantIdOf: (zoomUserId: string) => string
}

/** The way to the token endpoint and back: a refresh goes no step further than a command takes it. */
export function createTokenEndpoint({ zoom, ledger, nowMs, grantIdOf }: TokenEndpointOptions) {
  /** Refresh tokens that have reached a replica. */
  const holders = new Map<string, Replica>()
  const waiting = (replica: Replica) => ledger.calls.filter((call) => call.replica === replica && call.ending === null)
  const isOverdue = ({ sentAtMs }: Call, atMs: number) => atMs - sentAtMs >= REFRESH_DEADLINE_MS

  function end(call: Call, ending: Call['ending'], settle: () => void): void {
    Object.assign(call, { ending, endedAtMs: nowMs() })
    settle()
  }

  function answer(call: Call): void {
    const { reply, replica } = call
    if (!reply) return
    const pair = reply.body as { refresh_token?: string } | undefined
    if (pair?.refresh_token) holders.set(pair.refresh_token, replica)
    end(call, 'answered', () => call.resolve(reply))
  }

  const breakOff = (call: Call, ending: 'not_sent' | 'timeout' | 'broken') =>
    end(call, ending, () => call.reject(new ZoomTransportError(ending, 'MODEL')))

  return {
    holders,
    waiting,
    answer,
    breakOff,
    /** A revocation is answered at once; a refresh waits for commands. */
    send(replica: Replica, { path, form = {} }: ZoomRequest): Promise<ZoomReply> {
      if (path === '/oauth/revoke') return Promise.resolve(zoom.revokeByAccessToken(String(form.token)))
      const token = String(form.refresh_token)
      const grantId = grantIdOf(String(zoom.userOf(token)))
      const { promise, resolve, reject } = Promise.withResolvers<ZoomReply>()
      const leasedAtMs = ledger.leasedAtMs(replica, grantId)
      const open = { isTravelling: true, reply: null, effect: null, ending: null, endedAtMs: 0 }
      ledger.notePresented({ replica, grantId, token, leasedAtMs, sentAtMs: nowMs(), ...open, resolve, reject })
      return promise
    },
    /** Zoom, or what stands before it, deals with a refresh; its answer is then on its way, if anybody waits for it. */
    handle(call: Call, effect: Effect): void {
      const before = zoom.fateOf(call.token)
      const reply = zoom.answer(call.token, effect)
      call.isTravelling = false
      if (call.ending === null) Object.assign(call, { reply, effect })
      else ledger.count(`late request: ${before}`)
      if (before !== 'live' || zoom.fateOf(call.token) !== 'spent') return
      ledger.count('rotated')
      // a request does not travel for so long that it meets the token after next
      for (const other of ledger.calls)
        if (other.grantId === call.grantId && other.token !== call.token) other.isTravelling = false
    },
    /** A gateway waits no longer and says so; the request behind it goes on to Zoom. */
    failAtGateway(call: Call): void {
      call.effect = '500 before'
      end(call, 'answered', () => call.resolve({ status: 504, headers: {}, body: undefined }))
    },
    /** Nobody will hear the answers. What is travelling travels on. */
    abandon(replica: Replica): void {
      for (const call of waiting(replica)) end(call, 'killed', () => {})
    },
    /** What a process that was stopped finds: what has arrived is read before its own deadline is believed. */
    catchUp(replica: Replica): void {
      for (const call of waiting(replica)) {
        if (call.reply) answer(call)
        else if (isOverdue(call, nowMs())) breakOff(call, 'timeout')
      }
    },
    timeOut(replica: Replica, atMs: number): void {
      for (const call of waiting(replica)) if (isOverdue(call, atMs)) breakOff(call, 'timeout')
    },
  }
}
