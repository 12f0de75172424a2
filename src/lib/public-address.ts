import { BlockList, isIP } from 'node:net'

/** IPv4 that is nobody's on the public net. @see https://www.iana.org/assignments/iana-ipv4-special-registry */
const NOT_PUBLIC_V4: [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['168.63.129.16', 32], // Azure's platform, metadata included, behind an address that looks public
  ['169.254.0.0', 16], // link-local, and the metadata services of most clouds
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]
/**
 * Of IPv6 only global unicast counts, which leaves out loopback, unique-local, link-local, multicast, IPv4-mapped and NAT64
 * addresses; of it these are not public, or hide an IPv4 address. @see https://www.iana.org/assignments/iana-ipv6-special-registry
 */
const GLOBAL_UNICAST: [string, number] = ['2000::', 3]
const NOT_PUBLIC_V6: [string, number][] = [
  ['2001::', 23], // Teredo, benchmarking, ORCHID
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4
  ['3fff::', 20],
]

const list = (family: 'ipv4' | 'ipv6', subnets: [string, number][]) => {
  const blocks = new BlockList()
  for (const [net, prefix] of subnets) blocks.addSubnet(net, prefix, family)
  return blocks
}
const notPublicV4 = list('ipv4', NOT_PUBLIC_V4)
const notPublicV6 = list('ipv6', NOT_PUBLIC_V6)
const globalUnicast = list('ipv6', [GLOBAL_UNICAST])
const loopbackV4 = list('ipv4', [['127.0.0.0', 8]])
const loopbackV6 = list('ipv6', [['::1', 128]])

/** 4, 6, or 0 for what is no address. An address with a zone (`fe80::1%eth0`) is one of this machine's links. */
const familyOf = (address: string): number => (address.includes('%') ? 0 : isIP(address))

/** Whether a literal IP address, as a resolver gives it, belongs to the public internet. Anything else is not public. */
export function isPublicAddress(address: string): boolean {
  const family = familyOf(address)
  if (family === 4) return !notPublicV4.check(address, 'ipv4')
  return family === 6 && globalUnicast.check(address, 'ipv6') && !notPublicV6.check(address, 'ipv6')
}

/** Whether a literal IP address is this machine's own. */
export function isLoopbackAddress(address: string): boolean {
  const family = familyOf(address)
  if (family === 4) return loopbackV4.check(address, 'ipv4')
  return family === 6 && loopbackV6.check(address, 'ipv6')
}
