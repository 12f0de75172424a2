/** What lies behind an error of Prisma: its driver adapter's own account of it. */
interface AdapterCause {
  originalCode?: unknown
  kind?: unknown
}

function causeOf(error: unknown): AdapterCause {
  const { meta } = error as { meta?: { driverAdapterError?: { cause?: AdapterCause } } }
  return meta?.driverAdapterError?.cause ?? {}
}

/** Whether a write hit a unique key. Prisma names it P2002 in its own queries, and P2010 with a cause in raw ones. */
export function isUniqueViolation(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'P2002' || causeOf(error).originalCode === '23505'
}

/** The SQLSTATE behind an error of Prisma, or the adapter's word where the database never answered. */
export function databaseCauseOf(error: unknown): { sqlState: string | null; kind: string | null } {
  const { originalCode, kind } = causeOf(error)
  return {
    sqlState: typeof originalCode === 'string' ? originalCode : null,
    kind: typeof kind === 'string' ? kind : null,
  }
}
