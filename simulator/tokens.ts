import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'

/** Who and what an access or refresh token stands for; the claims Zoom's own tokens carry. */
export interface TokenClaims {
  clientId: string
  userId: string | null
  accountId: string | null
  /** Milliseconds since 1970. */
  issuedAt: number
  lifeSeconds: number
  /** 0 for an access token, 1 for a refresh token. */
  type: 0 | 1
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** URL-safe random text that nothing can be read from. */
export function randomToken(byteCount: number): string {
  return randomBytes(byteCount).toString('base64url')
}

/** A token shaped like Zoom's JWTs: readable claims and a random signature that no key made. */
export function claimsToken(claims: TokenClaims): string {
  const issuedAtSeconds = Math.floor(claims.issuedAt / 1000)
  const payload = {
    ver: 10,
    auid: randomBytes(16).toString('hex'),
    code: randomToken(16),
    iss: `zm:cid:${claims.clientId}`,
    gno: 0,
    type: claims.type,
    tid: 0,
    aud: 'https://oauth.zoom.us',
    ...(claims.userId === null ? {} : { uid: claims.userId }),
    ...(claims.accountId === null ? {} : { aid: claims.accountId }),
    nbf: issuedAtSeconds,
    exp: Math.ceil(issuedAtSeconds + claims.lifeSeconds),
    iat: issuedAtSeconds,
    jti: randomUUID(),
  }
  return `${encode({ sv: '000002', alg: 'HS512', v: '2.0', kid: randomUUID() })}.${encode(payload)}.${randomToken(64)}`
}

/** An OBF token or a ZAK: three parts like a JWT, nothing in it to rely on. */
export function sdkToken(kind: 'obf' | 'zak'): string {
  return `${encode({ typ: 'JWT', alg: 'HS256' })}.${encode({ kind, jti: randomUUID() })}.${randomToken(32)}`
}

/** The first ten hex digits of the SHA-256: enough to recognise a token in the log, useless as a token. */
export function shortHash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex').slice(0, 10)
}

/** Compares two secrets in a time that does not depend on where they differ. */
export function sameSecret(given: string, expected: string): boolean {
  const digest = (value: string) => createHash('sha256').update(value).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

/** The PKCE challenge a verifier answers, for either method. @see RFC 7636 section 4.2 */
export function challengeOf(verifier: string, method: 'plain' | 'S256'): string {
  return method === 'plain' ? verifier : createHash('sha256').update(verifier).digest('base64url')
}
