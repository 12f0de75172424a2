import type { TestApp } from './app.ts'
import { newTenantWithKey, unique } from './management.ts'

let numbers = 300_000_000
export const newNumber = () => String(++numbers)

export interface Explained {
  meeting_id: string
  pass: { id: string } | null
  mapping: Record<string, unknown> | null
  host: Record<string, unknown> | null
  settings: Record<string, unknown>
  mints: { kind: string; outcome: string; zoom_status: number | null; zoom_code: number | null }[]
  causes: { cause: string; likelihood: string; why: string; next_step: string }[]
}

/** A tenant with a connected user, a meeting of his at Zoom, and what may be done with them. */
export async function newScene(t: TestApp) {
  const tenant = await newTenantWithKey(t)
  const headers = { 'latchkey-tenant': tenant.id }
  const connect = async () => {
    const externalUserId = `user-${unique()}`
    const email = `${externalUserId}@example.com`
    const pmi = newNumber()
    t.zoom.addUser({ email, pmi })
    const host = await t.connectHost(externalUserId, email, headers)
    return { ...host, externalUserId, email, pmi }
  }
  const alice = await connect()
  const meeting = newNumber()
  t.zoom.addMeeting({ id: meeting, host: alice.email })
  const pass = (body: object = {}) =>
    t.createPass({ meeting, host: { external_user_id: alice.externalUserId }, ...body }, headers)
  const ask = async (path: string): Promise<Explained> => {
    await t.services.ledger.flush()
    return (await tenant.call('GET', `/v1/${path}/explain`)).json()
  }
  /** The first cause of the pass, in brief. */
  const first = async (passId: string) => {
    const [cause] = (await ask(`passes/${passId}`)).causes
    return `${cause?.likelihood} ${cause?.cause}`
  }
  return { ...tenant, headers, connect, alice, meeting, pass, ask, first }
}
