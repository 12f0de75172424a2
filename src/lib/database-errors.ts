import { isStoreUnavailable } from './sql.ts'

/** What lies behind an error of Prisma: its driver adapter's own account of it. */
interface AdapterCause {
  originalCode?: unknown
  code?: unknown
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

// Prisma's codes for "cannot reach, timed out, pool exhausted"; the rest are ours to mend.
const PRISMA_UNAVAILABLE = new Set(['P1000', 'P1001', 'P1002', 'P1008', 'P1011', 'P1017', 'P2024', 'P2028', 'P2037'])
const ADAPTER_UNAVAILABLE = new Set([
  'DatabaseNotReachable',
  'DatabaseDoesNotExist',
  'DatabaseAccessDenied',
  'AuthenticationFailed',
  'ConnectionClosed',
  'SocketTimeout',
  'TlsConnectionError',
  'TooManyConnections',
  'TransactionWriteConflict',
])
// pg throws these without any code, and Prisma passes them on as they are
const PG_UNAVAILABLE =
  /^(Query read timeout|timeout exceeded when trying to connect|(Client|Connection) (has encountered|terminated|was closed))/

/** Whether an error of Prisma or of pg beneath it says that the database could not be asked or did not answer in time. */
export function isDatabaseUnavailable(error: Error): boolean {
  if (error.name === 'PrismaClientInitializationError') return true
  if (error.name === 'PrismaClientKnownRequestError') {
    const { originalCode, code, kind } = causeOf(error)
    const sqlState = originalCode ?? code
    if (PRISMA_UNAVAILABLE.has(String((error as { code?: unknown }).code)) || ADAPTER_UNAVAILABLE.has(String(kind)))
      return true
    return typeof sqlState === 'string' && isStoreUnavailable({ code: sqlState })
  }
  if (error.name === 'DriverAdapterError' || error.name === 'DatabaseError') return isStoreUnavailable(error)
  return PG_UNAVAILABLE.test(error.message)
}
