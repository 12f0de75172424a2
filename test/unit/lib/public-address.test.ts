import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isLoopbackAddress, isPublicAddress } from '../../../src/lib/public-address.ts'

const v4 = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
const numberOf = (address: string) => address.split('.').reduce((value, part) => value * 256 + Number(part), 0)
const v6 = (groups: number[]) => groups.map((group) => group.toString(16)).join(':')

/** The IANA registries of special addresses, as first and last address, independent of how the code writes them. */
const SPECIAL_V4: [string, string][] = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['168.63.129.16', '168.63.129.16'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.88.99.0', '192.88.99.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '255.255.255.255'],
]
const ranges = SPECIAL_V4.map(([first, last]) => [numberOf(first), numberOf(last)] as const)
const isSpecialV4 = (value: number) => ranges.some(([first, last]) => value >= first && value <= last)

describe('an IPv4 address', () => {
  test.each(SPECIAL_V4)('from %s to %s is not public, and its neighbours are what they are', (first, last) => {
    const [from, to] = [numberOf(first), numberOf(last)]
    for (const value of [from, Math.floor((from + to) / 2), to])
      expect(isPublicAddress(v4(value)), v4(value)).toBe(false)
    for (const value of [from - 1, to + 1].filter((each) => each >= 0 && each < 2 ** 32))
      expect(isPublicAddress(v4(value)), v4(value)).toBe(!isSpecialV4(value))
  })

  test('is public exactly where no registry reserves it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        (value) => isPublicAddress(v4(value)) === !isSpecialV4(value),
      ),
      { numRuns: 3000 },
    )
  })

  test('is never public when it comes as an IPv6 address: mapped, compatible, translated or tunnelled', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => {
        const [high, low] = [value >>> 16, value & 0xffff]
        const disguised = [
          `::ffff:${v4(value)}`,
          `::${v4(value)}`,
          `64:ff9b::${v4(value)}`,
          v6([0, 0, 0, 0, 0, 0xffff, high, low]),
          v6([0x64, 0xff9b, 1, 0, 0, 0, high, low]),
          v6([0x2002, high, low, 0, 0, 0, 0, 1]),
          v6([0x2001, 0, high, low, 0, 0, 0, 1]),
        ]
        return disguised.every((address) => !isPublicAddress(address))
      }),
    )
  })
})

describe('an IPv6 address', () => {
  test.each([
    ['::'],
    ['::1'],
    ['100::1'],
    ['2001::1'],
    ['2001:1ff:ffff::1'],
    ['2001:db8::'],
    ['2001:db8:ffff:ffff::1'],
    ['2002::1'],
    ['3fff::1'],
    ['3fff:fff::1'],
    ['4000::1'],
    ['5f00::1'],
    ['fc00::1'],
    ['fd00:ec2::254'],
    ['fd20:ce::254'],
    ['fe80::1'],
    ['fec0::1'],
    ['ff02::1'],
    ['FE80::1'],
    ['fe80::1%eth0'],
    ['2606:4700::1111%eth0'],
    ['0:0:0:0:0:0:0:1'],
  ])('%s is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false)
  })

  test.each([
    ['2606:4700:4700::1111'],
    ['2a00:1450:4001:82a::200e'],
    ['2001:200::1'],
    ['2001:4860:4860::8888'],
    ['3ffe::1'],
  ])('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true)
  })

  test('outside 2000::/3 is never public', () => {
    const group = fc.integer({ min: 0, max: 0xffff })
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const isUnicast = (groups[0] as number) >> 13 === 1
        return isUnicast || !isPublicAddress(v6(groups))
      }),
    )
  })
})

test('what is no address is neither public nor this machine', () => {
  for (const text of [
    '',
    'localhost',
    'example.com',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '0x7f.0.0.1',
    '127.1',
    '[::1]',
    ' 8.8.8.8',
  ])
    expect([text, isPublicAddress(text), isLoopbackAddress(text)]).toEqual([text, false, false])
})

test('this machine is 127.0.0.0/8 and ::1, and nothing in disguise', () => {
  for (const address of ['127.0.0.1', '127.255.255.255', '::1', '0:0:0:0:0:0:0:1'])
    expect([isLoopbackAddress(address), isPublicAddress(address)]).toEqual([true, false])
  for (const address of ['126.255.255.255', '128.0.0.0', '0.0.0.0', '::', '::2', '::1%lo'])
    expect(isLoopbackAddress(address), address).toBe(false)
})
