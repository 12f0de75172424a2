import { generateKeyPairSync, sign } from 'node:crypto'

const tlv = (tag: number, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  const { length } = body
  const header = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...header]), body])
}
const sequence = (...parts: Buffer[]) => tlv(0x30, ...parts)
const utcTime = (text: string) => tlv(0x17, Buffer.from(text))
const pem = (label: string, der: Buffer) =>
  `-----BEGIN ${label}-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END ${label}-----\n`

const COMMON_NAME = Buffer.from('550403', 'hex')
const ECDSA_WITH_SHA256 = sequence(tlv(0x06, Buffer.from('2a8648ce3d040302', 'hex')))

/** A key and a certificate for `name` that nobody vouches for, made here so that no tool is needed. @see RFC 5280 section 4.1 */
export function selfSigned(name: string): { key: string; cert: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const owner = sequence(tlv(0x31, sequence(tlv(0x06, COMMON_NAME), tlv(0x0c, Buffer.from(name)))))
  const certificate = sequence(
    tlv(0xa0, tlv(0x02, Buffer.of(2))), // version 3
    tlv(0x02, Buffer.of(1)),
    ECDSA_WITH_SHA256,
    owner,
    sequence(utcTime('200101000000Z'), utcTime('490101000000Z')),
    owner,
    publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = tlv(0x03, Buffer.of(0), sign('sha256', certificate, privateKey))
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: pem('CERTIFICATE', sequence(certificate, ECDSA_WITH_SHA256, signature)),
  }
}
