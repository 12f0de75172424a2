import { AppError } from '../../errors.ts'
import type { OutboxEvent } from './outbox-store.ts'

/** A pass that will fail while its host is not connected. */
interface NextPass {
  passId: string
  meetingId: string
  joinAt: Date
}

export interface PayloadDeps {
  hostOf: (tenantId: string, hostId: string) => Promise<{ externalUserId: string; email: string | null } | null>
  nextPassesOf: (tenantId: string, hostId: string, limit: number) => Promise<NextPass[]>
  passOf: (
    tenantId: string,
    passId: string,
  ) => Promise<{ metadata: Record<string, string>; joinAt: Date | null } | null>
  connectLink: (tenantId: string, input: ConnectLinkInput) => Promise<{ url: string; expiresAt: Date }>
}

interface ConnectLinkInput {
  externalUserId: string
  kind: 'host'
  expectedEmail: string
  expiresInSeconds: number
  onOtherZoomUser: 'refuse'
}

const NEXT_PASSES = 5
const LINK_SECONDS = 7 * 86_400 // the longest a connect session may live: the mail it goes into may be read late

/** What receivers get: who and what in ids, codes and the tenant's own words; no name, no address. */
export function createPayloads({ hostOf, nextPassesOf, passOf, connectLink }: PayloadDeps) {
  /** A link needs the address of the person it is for, and one that Zoom’s user has taken away is not known any more. */
  async function linkFor(tenantId: string, externalUserId: string, email: string | null) {
    if (email === null) return null
    const input = { externalUserId, expectedEmail: email, expiresInSeconds: LINK_SECONDS } as const
    try {
      const { url, expiresAt } = await connectLink(tenantId, { ...input, kind: 'host', onOtherZoomUser: 'refuse' })
      return { url, expires_at: expiresAt.toISOString() }
    } catch (error) {
      if (error instanceof AppError && error.code !== 'store_unavailable') return null // no Zoom app to connect with
      throw error
    }
  }

  async function toReconnect(tenantId: string, hostId: string) {
    const host = await hostOf(tenantId, hostId)
    if (!host) return { connect_link: null, next_passes: [] }
    const passes = await nextPassesOf(tenantId, hostId, NEXT_PASSES)
    return {
      connect_link: await linkFor(tenantId, host.externalUserId, host.email),
      next_passes: passes.map(({ passId, meetingId, joinAt }) => ({
        pass_id: passId,
        meeting_id: meetingId,
        join_at: joinAt.toISOString(),
      })),
    }
  }

  async function dataOf({ type, tenantId, subjectId, facts }: OutboxEvent): Promise<object> {
    if (type.startsWith('app.')) return { zoom_app_id: subjectId, ...facts }
    if (tenantId === null) return facts
    if (type === 'pass.failed') {
      const pass = await passOf(tenantId, subjectId)
      const known = { metadata: pass?.metadata ?? {}, join_at: pass?.joinAt?.toISOString() ?? null }
      return { pass_id: subjectId, ...facts, ...known }
    }
    const host = { host_id: subjectId, ...facts }
    return type === 'host.reconnect_required' ? { ...host, ...(await toReconnect(tenantId, subjectId)) } : host
  }

  return {
    /**
     * The body that goes to every receiver of the event, each time. @throws store_unavailable
     * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
     */
    async compose(event: OutboxEvent): Promise<string> {
      const { id, type, tenantId, createdAt } = event
      const data = await dataOf(event)
      return JSON.stringify({ id, type, timestamp: createdAt.toISOString(), tenant_id: tenantId, data })
    },
  }
}

export type Payloads = ReturnType<typeof createPayloads>
