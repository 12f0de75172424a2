import { toJsonLine } from '../features/audit/shape.ts'
import { isUuid } from '../lib/ids.ts'
import { StartError } from '../startup.ts'
import { type Env, type Say, withServices } from './with-services.ts'

export interface AuditOptions {
  tenant?: string | undefined
  since?: string | undefined
  until?: string | undefined
}

/** RFC 3339, or a day. */
const TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/

function timeOf(option: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const time = new Date(text)
  if (TIME.test(text) && !Number.isNaN(time.getTime())) return time
  throw new StartError(`${option} takes a time such as 2026-12-01T15:00:00Z, or a day such as 2026-12-01 (UTC).`)
}

/**
 * Prints the audit trail as JSON lines, newest first: of a tenant, also one that is gone (by its id), or of all and of none.
 * @throws StartError for pending migrations or a time that is none, not_found, store_unavailable
 */
export async function audit(env: Env, options: AuditOptions, say: Say): Promise<void> {
  const filter = { since: timeOf('--since', options.since), until: timeOf('--until', options.until) }
  await withServices(env, async ({ services }) => {
    const { tenant } = options
    const tenantId = tenant === undefined || isUuid(tenant) ? tenant : await services.tenants.resolve(tenant)
    const lines = services.auditTrail.export(
      { tenantId, isOperator: true },
      filter,
      Number.POSITIVE_INFINITY,
      undefined,
    )
    for await (const line of lines) if (!('nextCursor' in line)) say(toJsonLine(line))
  })
}
