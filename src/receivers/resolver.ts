import type { LookupAddress } from 'node:dns'
import { Resolver } from 'node:dns/promises'

/** Every address of a name. Rejects with the resolver's error where there is none. */
export type Resolve = (hostname: string) => Promise<LookupAddress[]>

// both tries of both families within an attempt's deadline
const TIMEOUT_MS = 2000
const TRIES = 2
/** @see https://www.rfc-editor.org/rfc/rfc6761#section-6.3 */
const LOCALHOST: LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
]

/**
 * Asks the name servers themselves. The system's resolver would hold one of the process's four threads for each name, and a
 * tenant whose name servers are slow could keep Zoom and the database from being resolved; it also knows names of
 * `/etc/hosts`, which no receiver has. `servers` are the system's by default.
 */
export function createResolver({ servers }: { servers?: string[] } = {}): Resolve {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
  if (servers) resolver.setServers(servers)
  return async (hostname) => {
    if (hostname === 'localhost') return LOCALHOST
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)])
    const addresses = [
      ...(v4.status === 'fulfilled' ? v4.value.map((address) => ({ address, family: 4 })) : []),
      ...(v6.status === 'fulfilled' ? v6.value.map((address) => ({ address, family: 6 })) : []),
    ]
    if (addresses.length === 0 && v4.status === 'rejected') throw v4.reason
    return addresses
  }
}
