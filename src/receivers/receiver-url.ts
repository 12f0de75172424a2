import { isIP } from 'node:net'
import { isLoopbackAddress, isPublicAddress } from '../lib/public-address.ts'

export interface ReceiverRules {
  /** This machine, over http too; never in production. */
  allowsLoopback: boolean
}

const PRINTABLE = /^[\x21-\x5b\x5d-\x7e]{1,2000}$/
/** Spelt out, so that nothing depends on what a parser makes of `https:/x` or `https://:@x`. */
const ABSOLUTE = /^https?:\/\/([^/?#\\]+)(?:[/?#]|$)/i
/** Names that no public resolver knows, or that only a private one answers. */
const PRIVATE_NAME =
  /(^|\.)(localhost|local|internal|intranet|lan|home|corp|private|localdomain|home\.arpa|arpa|onion|test|invalid)$/

/** The host of a URL as an address to check: without the brackets of IPv6 and the dot at the end. */
const hostOf = ({ hostname }: URL) => hostname.replace(/^\[|\]$/g, '').replace(/\.+$/, '')

/** Whether requests may go to this address. Every address that a name resolves to is checked, at each request. */
export const isAllowedAddress = (address: string, { allowsLoopback }: ReceiverRules): boolean =>
  isPublicAddress(address) || (allowsLoopback && isLoopbackAddress(address))

/**
 * What is wrong with the URL of a receiver, as public text, or null. Addresses in any spelling (decimal, octal, hex) have been
 * brought into one by the parser. What a name resolves to is checked when something is sent.
 */
export function receiverUrlFault(text: string, rules: ReceiverRules): string | null {
  const authority = PRINTABLE.test(text) ? ABSOLUTE.exec(text)?.[1] : undefined
  if (authority === undefined || !URL.canParse(text))
    return 'must be an absolute https URL in plain ASCII of at most 2000 characters'
  if (authority.includes('@')) return 'must hold no user and no password'
  if (text.includes('#')) return 'must hold no fragment'
  const url = new URL(text)
  const host = hostOf(url)
  const isLoopback = host === 'localhost' || isLoopbackAddress(host)
  if (isLoopback && rules.allowsLoopback) return null
  if (url.protocol !== 'https:') return 'must be https (http only on loopback, outside production)'
  if (isIP(host) !== 0)
    return isAllowedAddress(host, rules) ? null : 'must not be a private, loopback, link-local or reserved address'
  if (!host.includes('.') || PRIVATE_NAME.test(host)) return 'must be a name of the public internet'
  return null
}
