import type { TestApp } from './app.ts'

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface ApiRoute {
  method: Method
  /** With `{name}` for each parameter. */
  path: string
  /** `operator`, or the scope that a tenant's key needs. */
  caller: string
  hasBody: boolean
}

interface Operation {
  security?: { apiKey?: string[] }[]
  requestBody?: unknown
}

/** Every route of the management API, as the running service describes itself: a new one cannot be forgotten. */
export function apiRoutes(t: TestApp): ApiRoute[] {
  const { paths } = t.app.swagger() as { paths: Record<string, Record<string, Operation>> }
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { security, requestBody }]) => ({
      method: method.toUpperCase() as Method,
      path,
      caller: security?.[0]?.apiKey?.[0] ?? '',
      hasBody: requestBody !== undefined,
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
