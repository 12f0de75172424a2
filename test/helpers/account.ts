import type { TestApp } from './app.ts'
import { rows } from './connect.ts'
import { unique } from './management.ts'
import { newNumber } from './meeting-events.ts'
import { zoomSends } from './zoom-events.ts'

type Headers = Record<string, string>

/** An account of its own pace: what Zoom says is left lets nobody wait. */
export const UNHURRIED = { enforceRateLimit: true, rateLimitPerSecond: { light: 100_000, medium: 100_000 } }

/** The account-level app of the installation, whose events are signed with this. */
const ACCOUNT_APP = {
  client_id: 'simulator-account-client-id',
  client_secret: 'simulator-account-client-secret',
  kind: 'account',
  webhook_secret_token: 'webhook-secret-of-the-account-app',
}

const running = new AbortController().signal

/** Zoom accounts whose admins connect them as a whole, each test as a tenant of its own. */
export async function accountWorld(t: TestApp) {
  const app = (await t.api('POST', '/v1/zoom-apps', { body: ACCOUNT_APP })).json()
  return {
    appId: String(app.id),
    sync: ({ grantId }: { grantId: string }) => t.services.meetingSync.run(grantId, running),
    organizationOf: async ({ id }: { id: string }, headers: Headers) =>
      (await t.api('GET', `/v1/organizations/${id}`, { headers })).json(),
    mappingOf: async (meeting: string, headers: Headers) =>
      (await t.api('GET', `/v1/meetings/${meeting}`, { headers })).json(),
    passFor: (meeting: string, headers: Headers) => t.createPass({ meeting, kinds: ['join', 'obf', 'zak'] }, headers),
    /** Zoom tells through the account-level app, and it is done. */
    async hear(event: object): Promise<number> {
      const options = { path: `/zoom/webhook/${app.id}`, secret: ACCOUNT_APP.webhook_secret_token }
      const { statusCode } = await zoomSends(t, event, options)
      await t.services.zoomEvents.processAcrossTenants()
      return statusCode
    },
    /** An account with an admin and so many users, each with a scheduled meeting; nobody has connected anything. */
    newAccount(size: number) {
      const account = unique()
      const join = (role: 'admin' | 'member') => {
        const email = `${unique()}@example.com`
        const { id, pmi } = t.zoom.addUser({ email, account_id: account, role })
        return { id, email, pmi, meeting: t.zoom.addMeeting({ id: newNumber(), host: email }).id }
      }
      const admin = join('admin')
      return { account, admin, users: Array.from({ length: size }, () => join('member')), join: () => join('member') }
    },
    /** The admin connects it for a tenant. */
    async connect(admin: { email: string }, headers: Headers = {}) {
      const session = { external_user_id: 'admin', kind: 'organization' }
      const answer = await t.follow(await t.connectLink(session, headers), admin.email)
      const [organization] = (await t.api('GET', '/v1/organizations', { headers })).json().data
      const grant = 'SELECT grant_id AS "grantId" FROM organizations WHERE id = $1'
      const [row] = organization ? await rows<{ grantId: string }>(t, grant, [organization.id]) : []
      return { answer, id: String(organization?.id), grantId: String(row?.grantId) }
    },
  }
}
