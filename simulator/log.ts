import type { Fault } from './faults.ts'
import type { ZoomReply } from './refusal.ts'
import { type LogFilter, logFilter } from './schemas.ts'
import { parseInput, type State } from './state.ts'
import { shortHash } from './tokens.ts'
import type { ZoomRequest } from './zoom-request.ts'

/** One request to the simulated Zoom. Tokens, codes and secrets never appear, only a short hash. */
export interface LogEntry {
  time: string
  method: string
  path: string
  query: Record<string, string>
  client_id: string | null
  user_id: string | null
  grant_type: string | null
  /** Zoom's answer; null when its work was never done. */
  status: number | null
  code: number | string | null
  token_hash: string | null
  minted_hash: string | null
  fault: string | null
  effect: string | null
}

/** The query values that are worth showing and hold no secret. */
const SHOWN_QUERY = ['type', 'ttl', 'meeting_id', 'bypass_waiting_room', 'page_size', 'option', 'status', 'client_id']
/** Beyond this many lines the older half is dropped, so that load runs stay within memory. */
const MAX_ENTRIES = 20_000

/** What was asked of the simulated Zoom, in order. */
export function createLog(state: State) {
  const entries: LogEntry[] = []
  let watchers: (() => void)[] = []

  function list(filter: LogFilter = {}): LogEntry[] {
    const wanted = parseInput(logFilter, filter, 'log filter')
    const user = wanted.user_id === undefined ? undefined : state.findUser(wanted.user_id)
    const fits = (entry: LogEntry) =>
      (wanted.method === undefined || wanted.method.toUpperCase() === entry.method) &&
      (wanted.path === undefined || entry.path.startsWith(wanted.path)) &&
      (wanted.status === undefined || wanted.status === entry.status) &&
      (wanted.user_id === undefined || (user?.id ?? wanted.user_id) === entry.user_id) &&
      (wanted.client_id === undefined || wanted.client_id === entry.client_id) &&
      (wanted.grant_type === undefined || wanted.grant_type === entry.grant_type)
    return entries.filter(fits)
  }

  return {
    list,
    /** Settles with the matching lines once there are at least `count`; no polling. */
    async waitFor(filter: LogFilter, count = 1): Promise<LogEntry[]> {
      for (;;) {
        const found = list(filter)
        if (found.length >= count) return found
        await new Promise<void>((resolve) => watchers.push(resolve))
      }
    },
    record(request: ZoomRequest, reply: ZoomReply | null, fault: Fault | null) {
      const { facts } = request
      entries.push({
        time: new Date(state.now()).toISOString(),
        method: request.method,
        path: request.path,
        query: Object.fromEntries(SHOWN_QUERY.flatMap((name) => shown(request.query, name))),
        client_id: facts.clientId,
        user_id: facts.userId,
        grant_type: facts.grantType,
        status: reply?.status ?? null,
        code: reply ? codeOf(reply.body) : null,
        token_hash: facts.credential === null ? null : shortHash(facts.credential),
        minted_hash: facts.minted === null ? null : shortHash(facts.minted),
        fault: fault?.action.type ?? null,
        effect: fault?.effect ?? null,
      })
      if (entries.length > MAX_ENTRIES) entries.splice(0, MAX_ENTRIES / 2)
      const waiting = watchers
      watchers = []
      for (const wake of waiting) wake()
    },
    clear: () => {
      entries.length = 0
    },
  }
}

const shown = (query: URLSearchParams, name: string): [string, string][] => {
  const value = query.get(name)
  return value === null ? [] : [[name, value]]
}

/** The code of a refusal: Zoom's number, else OAuth's `error`. */
function codeOf(body: unknown): number | string | null {
  if (typeof body !== 'object' || body === null) return null
  const { code, error } = body as { code?: unknown; error?: unknown }
  if (typeof code === 'number') return code
  return typeof error === 'string' ? error : null
}
