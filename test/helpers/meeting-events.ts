import { expect } from 'vitest'
import type { TestApp } from './app.ts'
import { type newTenantWithKey, seedHost, unique } from './management.ts'
import { meetingEvent, zoomSends } from './zoom-events.ts'

export type Tenant = Awaited<ReturnType<typeof newTenantWithKey>>

export const ACCOUNT = 'account-1'
const START_MS = Date.now() - 3_600_000
/** Zoom's clock, so many seconds into the test. */
export const atSecond = (second: number) => new Date(START_MS + second * 1000)

let numbers = 700_000_000
export const newNumber = () => String(++numbers)

/** Users whose meetings Zoom tells of, and the map that comes of it. */
export function meetingWorld(t: TestApp) {
  const settled = () => t.services.zoomEvents.processAcrossTenants()
  const get = async (tenant: Tenant, id: string) => (await tenant.call('GET', `/v1/meetings/${id}`)).json()
  return {
    settled,
    get,
    hostOf: async (tenant: Tenant, id: string) => (await get(tenant, id)).host_id ?? null,
    async newUser(tenant: Tenant, externalUserId = 'alice', zoomUserId = unique()) {
      const { id, grantId } = await seedHost(t, tenant.id, externalUserId, { zoomUserId })
      return { hostId: id, grantId, zoomUserId }
    },
    /** Zoom tells of a meeting, and it is done. */
    async hear(event: string, object: Record<string, unknown>, second = 0, more: { operator_id?: string } = {}) {
      const body = meetingEvent(`meeting.${event}`, ACCOUNT, object, { at: atSecond(second), ...more })
      expect((await zoomSends(t, body)).statusCode).toBe(204)
      await settled()
    },
  }
}
