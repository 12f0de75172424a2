import type { TestApp } from './app.ts'

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface ApiRoute {
  method: Method
  /** With `{name}` for each parameter. */
  path: string
  /** `operator`, or the scope that a tenant's key needs. */
  caller: string
  hasBody: boolean
  operationId: string
}

interface Operation {
  security?: { apiKey?: string[] }[]
  requestBody?: unknown
  operationId?: string
}

/** Every route of the management API, as the running service describes itself: a new one cannot be forgotten. */
export function apiRoutes(t: TestApp): ApiRoute[] {
  const { paths } = t.app.swagger() as { paths: Record<string, Record<string, Operation>> }
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { security, requestBody, operationId = '' }]) => ({
      method: method.toUpperCase() as Method,
      path,
      caller: security?.[0]?.apiKey?.[0] ?? '',
      hasBody: requestBody !== undefined,
      operationId,
    })),
  )
  return routes.filter(({ caller }) => caller !== '')
}

/** The path with its parameters filled in. @throws for one that is not given */
export function pathWith(path: string, values: Record<string, string>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`no value for {${name}} of ${path}`)
    return value
  })
}

/** What each route takes; `{}` where it is not here. */
export const BODIES: Record<string, unknown> = {
  'POST /v1/tenants': { name: 'x' },
  'POST /v1/tenants/{id}/api-keys': { name: 'x' },
  'POST /v1/tenants/{id}/recall-workspaces': {
    region: 'us-east-1',
    verification_secrets: [`whsec_${Buffer.alloc(32, 7).toString('base64')}`],
  },
  'POST /v1/zoom-apps': { client_id: 'x', client_secret: 'x', kind: 'account' },
  'POST /v1/connect-sessions': { external_user_id: 'alice' },
  'POST /v1/webhook-endpoints': { url: 'https://hooks.example.com' },
  'POST /v1/operator/webhook-endpoints': { url: 'https://hooks.example.com' },
  'POST /v1/hosts/import': { hosts: [{ external_user_id: 'alice', refresh_token: 'x' }] },
  'POST /v1/passes': { meeting: '111111111' },
  'POST /v1/meetings/batch': { meetings: [{ meeting_id: '111111111', external_user_id: 'alice' }] },
  'PUT /v1/meetings/{meeting_id}': { external_user_id: 'alice' },
  'PATCH /v1/tenants/{id}/recall-workspaces/{workspace_id}': { region: 'us-west-2' },
}
