const TIMEOUT_MS = 15_000

export interface JsonAnswer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: what came is looked at field by field, and nothing of it is passed on
  body: any
}

export type JsonClient = ReturnType<typeof createJsonClient>

/** Calls one JSON API. Errors name method and path, never a header or a body. */
export function createJsonClient(baseUrl: string, authorization: string) {
  return async function call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: unknown,
  ): Promise<JsonAnswer> {
    const headers = { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    try {
      const answer = await fetch(`${baseUrl}${path}`, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) })
      const text = await answer.text()
      return { status: answer.status, body: parsed(text) }
    } catch {
      throw new Error(`${method} ${path} got no answer`)
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
