import { sha256 } from '../../lib/ids.ts'

const LIFE_SECONDS = 600

export interface FlowCookies {
  /** `Set-Cookie` that binds a flow to this browser. */
  set(state: string, binding: string): string
  /** `Set-Cookie` that ends it. */
  clear(state: string): string
  /** The binding of the state's flow; null where the browser has none, or two of that name (which is ours is anyone's guess). */
  read(state: string, cookieHeader: string | undefined): string | null
}

/**
 * One cookie per flow, named after its state, so that two tabs do not end each other. With https it is `Secure` and carries the
 * prefix that keeps plain http from setting it. @see https://www.rfc-editor.org/rfc/rfc9700#section-4.7
 */
export function createFlowCookies({ isHttps }: { isHttps: boolean }): FlowCookies {
  const nameOf = (state: string) =>
    `${isHttps ? '__Secure-' : ''}latchkey_flow_${sha256(state).toString('hex').slice(0, 8)}`
  const cookie = (state: string, value: string, maxAgeSeconds: number) =>
    [
      `${nameOf(state)}=${value}`,
      'Path=/zoom/oauth',
      `Max-Age=${maxAgeSeconds}`,
      'HttpOnly',
      'SameSite=Lax',
      ...(isHttps ? ['Secure'] : []),
    ].join('; ')
  return {
    set: (state, binding) => cookie(state, binding, LIFE_SECONDS),
    clear: (state) => cookie(state, '', 0),
    read(state, cookieHeader) {
      const prefix = `${nameOf(state)}=`
      const pairs = (cookieHeader ?? '').split(';').map((pair) => pair.trim())
      const values = pairs.filter((pair) => pair.startsWith(prefix)).map((pair) => pair.slice(prefix.length))
      return values.length === 1 && values[0] ? values[0] : null
    },
  }
}
