import { randomBytes } from 'node:crypto'
import { signRecallRequest } from '../../simulator/recall.ts'
import type { Simulator } from '../../simulator/server.ts'
import type { Fleet } from './fleet.ts'

export interface Member {
  name: string
  email: string
  meetingId: string
  zoomUserId: string
  /** Path and query of its join token URL. */
  passPath: string
}

export interface PopulationOptions {
  fleet: Fleet
  zoom: Simulator
  operatorKey: string
  recallSecret: string
}

/** Hosts with a meeting and a pass each, and what their bots and people do. */
export function createPopulation({ fleet, zoom, operatorKey, recallSecret }: PopulationOptions) {
  /** One request to any living replica; null when it died or was cut off. */
  async function call(path: string, init: RequestInit = {}) {
    const target = fleet.any()
    if (!target) return null
    const signal = AbortSignal.timeout(15_000)
    const answer = await fetch(target.url + path, { redirect: 'manual', signal, ...init }).catch(() => null)
    const text = await answer?.text().catch(() => null)
    return answer && text !== null && text !== undefined
      ? { status: answer.status, headers: answer.headers, text }
      : null
  }
  async function api(method: string, path: string, body: unknown) {
    const headers = { authorization: `Bearer ${operatorKey}`, 'content-type': 'application/json' }
    const answer = await call(path, { method, headers, body: JSON.stringify(body) })
    return answer?.status === 201 ? JSON.parse(answer.text) : null
  }
  const pathOf = (url: string) => new URL(url).pathname + new URL(url).search

  /** Goes through the consent page; false where something died on the way. */
  async function connect({ name, email }: Pick<Member, 'name' | 'email'>): Promise<boolean> {
    const session = await api('POST', '/v1/connect-sessions', { external_user_id: name })
    if (!session) return false
    const opened = await call(pathOf(session.url))
    if (opened?.status !== 302) return false
    const cookie = opened.headers
      .getSetCookie()
      .map((line) => line.split(';')[0])
      .join('; ')
    const query = Object.fromEntries(new URL(String(opened.headers.get('location'))).searchParams)
    const { location } = zoom.authorize({ ...query, user: email } as Parameters<Simulator['authorize']>[0])
    const back = await call(pathOf(location), { headers: { cookie } })
    return back?.status === 200
  }
  return {
    connect,
    async add(index: number): Promise<Member> {
      const [name, email, meetingId] = [`user-${index}`, `user-${index}@example.com`, String(900_000_000 + index)]
      const zoomUserId = `chaosUser${String(index).padStart(4, '0')}`
      zoom.addUser({ id: zoomUserId, email })
      zoom.addMeeting({ id: meetingId, host: email })
      if (!(await connect({ name, email }))) throw new Error(`${name} could not be connected`)
      const pass = await api('POST', '/v1/passes', {
        meeting: meetingId,
        host: { external_user_id: name },
        kinds: ['join'],
      })
      return { name, email, meetingId, zoomUserId, passPath: pathOf(pass.join_token_url) }
    },
    /** A bot's request: 200, an error code, or what kept it from an answer. */
    async mint({ passPath }: Member): Promise<number | string> {
      if (!fleet.any()) return 'no_replica_alive'
      const id = `msg_${randomBytes(9).toString('hex')}`
      const timestamp = Math.floor(Date.now() / 1000)
      const answer = await call(passPath, { headers: signRecallRequest({ secrets: [recallSecret], id, timestamp }) })
      if (!answer) return 'cut_off'
      return answer.status === 200 ? 200 : (/"code":"([a-z_]+)"/.exec(answer.text)?.[1] ?? answer.status)
    },
  }
}

export type Population = ReturnType<typeof createPopulation>
