/** Where a session's browser may be sent at its end. */
export interface ReturnUrlRules {
  /** Plain http to this machine; never in production. */
  allowsHttpOnLoopback: boolean
  /** The tenant's own list; an empty one allows every origin. */
  origins: string[]
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])
/** Spelt out, so that nothing depends on what a browser makes of `https:/x`, `\\x` or a tab in the middle. */
const ABSOLUTE = /^https?:\/\/([^/?#\\]+)(?:[/?#]|$)/i
const PRINTABLE = /^[\x21-\x5b\x5d-\x7e]+$/

/**
 * What is wrong with a `return_url`, as public text, or null. Checked once, when the session is created.
 * @see https://www.rfc-editor.org/rfc/rfc9700#section-4.11.1
 */
export function returnUrlFault(text: string, { allowsHttpOnLoopback, origins }: ReturnUrlRules): string | null {
  const authority = PRINTABLE.test(text) ? ABSOLUTE.exec(text)?.[1] : undefined
  if (authority === undefined || !URL.canParse(text)) return 'must be an absolute https URL in plain ASCII'
  if (authority.includes('@')) return 'must hold no user and no password'
  const url = new URL(text)
  if (url.protocol === 'http:' && !(allowsHttpOnLoopback && LOOPBACK.has(url.hostname)))
    return 'must be https (http only on loopback, outside production)'
  if (origins.length > 0 && !origins.includes(url.origin)) return "must be of one of the tenant's return_url_origins"
  return null
}

/** The return URL with the result in its query, beside what the query already held; a name of ours is not kept twice. */
export function withResult(returnUrl: string, result: Record<string, string>): string {
  const url = new URL(returnUrl)
  for (const name of Object.keys(result)) if (url.searchParams.has(name)) url.searchParams.delete(name)
  url.search = [url.search, new URLSearchParams(result)].filter((part) => String(part) !== '').join('&')
  return url.href
}
