import type { Finding } from '../erasure/erasure.ts'
import { isUuid } from '../lib/ids.ts'
import { SealError } from '../lib/sealing.ts'
import type { Services } from '../services.ts'
import { StartError } from '../startup.ts'
import { recorded } from './recorded.ts'
import { type Env, type Say, withServices } from './with-services.ts'

export interface EraseOptions {
  /** Proves instead of erasing. */
  verify?: boolean | undefined
  tenant?: string | undefined
  host?: string | undefined
  json?: boolean | undefined
}

const TOKENS = 'grant_tokens'

function checkOptions({ verify, tenant, host }: EraseOptions): void {
  if (!verify && (tenant || host))
    throw new StartError('--tenant and --host go with --verify: a tenant or host is deleted through the API.')
  for (const [name, id] of Object.entries({ tenant, host }))
    if (id !== undefined && !isUuid(id)) throw new StartError(`--${name} takes an id, a UUID.`)
}

/**
 * With `verify`, says what is still there of what should be gone; without, does at once what the clean-up jobs do by the clock.
 * True where nothing is left. @throws StartError for options that do not go together and for pending migrations, store_unavailable
 */
export async function erase(env: Env, options: EraseOptions, say: Say): Promise<boolean> {
  checkOptions(options)
  const { verify, tenant: tenantId, host: hostId, json } = options
  return await withServices(env, async ({ services }) => {
    await services.installation.refresh() // in a copy of another installation's database nothing is revoked
    const erased = verify ? null : await recorded(services, { action: 'erase' }, () => cleanUp(services))
    const findings = await services.erasure.verifyAcrossTenants({ tenantId, hostId })
    if (json) say(JSON.stringify({ is_erased: findings.length === 0, findings, ...(erased ? { erased } : {}) }))
    else {
      for (const [what, count] of Object.entries(erased ?? {})) say(`erased: ${count} ${what.replaceAll('_', ' ')}`)
      for (const line of report(findings, { tenantId, hostId })) say(line)
    }
    return findings.length === 0
  })
}

function report(
  findings: Finding[],
  { tenantId, hostId }: { tenantId: string | undefined; hostId: string | undefined },
) {
  const whose = [tenantId ? ` of the tenant ${tenantId}` : '', hostId ? ` of the host ${hostId}` : ''].join('')
  if (findings.length === 0) return [`Nothing is left${whose} that should be gone.`]
  return [
    ...findings.map(({ what, table, count, ids }) => `${table}: ${count} × ${what} (${ids.join(', ')})`),
    `${findings.length} kinds of data are left that should be gone.`,
  ]
}

/** Grants first: what is revoked leaves other things behind. */
async function cleanUp({ connectSessions, idempotencyKeys, grantUpkeep, erasure }: Services) {
  const unlinked = async () => (await erasure.verifyAcrossTenants()).find(({ table }) => table === TOKENS)?.count ?? 0
  const before = await unlinked()
  // a round releases a few; one that changes nothing (a copy's database, or too fresh) is the last
  let left = before
  for (let last = Number.POSITIVE_INFINITY; left > 0 && left < last; left = await unlinked()) {
    last = left
    await grantUpkeep.releaseUnlinkedAcrossTenants(new AbortController().signal).catch((error: unknown) => {
      if (!(error instanceof SealError)) throw error // tokens that do not open: they are among the findings
    })
  }
  const { sessions, flows } = await connectSessions.purgeExpiredAcrossTenants()
  const answers = await idempotencyKeys.purgeExpiredAcrossTenants()
  const swept = await erasure.sweepAcrossTenants()
  return {
    grants: before - left,
    connect_sessions: sessions,
    connect_flows: flows,
    answers: answers + swept.answers,
    data_keys: swept.dataKeys,
    persons: swept.persons,
    account_users: swept.accountUsers,
    rows_of_gone_tenants: swept.rowsOfGoneTenants,
  }
}
