import { type AppBreaker, createAppBreaker } from './app-breaker.ts'
import { createEndpointBreaker, type EndpointBreaker } from './endpoint-breaker.ts'
import { createGrantBreaker, type GrantBreaker } from './grant-breaker.ts'

/** What keeps failing refreshes from becoming a storm: one bad grant or app must not stop the others, and neither may Zoom's outage. */
export interface Breakers {
  app: AppBreaker
  grant: GrantBreaker
  endpoint: EndpointBreaker
  /** How many grants, apps and endpoints are paused now, for the metrics. */
  open(): Record<'app' | 'grant' | 'endpoint', number>
}

/** Of one process; a restart starts with all of them closed. `random` spreads the pauses, 0 to 1. */
export function createBreakers({
  monotonicNow,
  random,
}: {
  monotonicNow: () => number
  random: () => number
}): Breakers {
  const app = createAppBreaker(monotonicNow)
  const grant = createGrantBreaker({ monotonicNow, random })
  const endpoint = createEndpointBreaker(monotonicNow)
  return {
    app,
    grant,
    endpoint,
    open: () => ({ app: app.openCount(), grant: grant.openCount(), endpoint: endpoint.isOpen() ? 1 : 0 }),
  }
}
