import { describe, expect, test } from 'vitest'
import { type ZoomReply, type ZoomRequest, ZoomTransportError } from '../../../src/zoom/http.ts'
import { authorizeUrl, claimsOf, createZoomOAuth, newPkceVerifier, pkceChallenge } from '../../../src/zoom/oauth.ts'

type Answer = Partial<ZoomReply> | ZoomTransportError
const PAIR = {
  access_token: 'at.new',
  refresh_token: 'rt.new',
  token_type: 'bearer',
  expires_in: 3599,
  scope: 'a:b c:d',
}
const TOKENS = { accessToken: 'at.new', refreshToken: 'rt.new', expiresInSeconds: 3599, scopes: ['a:b', 'c:d'] }
const BAD_CLIENT: Answer = {
  status: 401,
  body: { error: 'invalid_client', reason: 'Invalid client_id or client_secret' },
}
const BAD_GRANT: Answer = { status: 400, body: { error: 'invalid_grant', reason: 'Invalid Token!' } }
const app = { clientId: 'client', clientSecrets: ['new-secret', 'old-secret'] }
const refreshing = { ...app, refreshToken: 'rt.old', timeoutMs: 8000 }
const exchanging = { ...app, code: 'the-code', redirectUri: 'https://x/cb', codeVerifier: 'v' }
const broken = (kind: ZoomTransportError['kind']) => new ZoomTransportError(kind, 'ECONNRESET')

/** An endpoint that gives one answer after the other and remembers what it was asked. */
function endpoint(...answers: Answer[]) {
  const requests: ZoomRequest[] = []
  const send = async (request: ZoomRequest): Promise<ZoomReply> => {
    requests.push(request)
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    if (answer instanceof ZoomTransportError) throw answer
    return { status: 200, headers: {}, body: undefined, ...answer }
  }
  return { requests, oauth: createZoomOAuth({ http: { send } }) }
}
const refresh = (...answers: Answer[]) => endpoint(...answers).oauth.refresh(refreshing)
const exchange = (...answers: Answer[]) => endpoint(...answers).oauth.exchangeCode(exchanging)
const basic = (secret: string) => `Basic ${Buffer.from(`client:${secret}`).toString('base64')}`

describe('a refresh', () => {
  test('presents the token in the body, the secret in a header and nothing in the URL', async () => {
    const { oauth, requests } = endpoint({ body: PAIR })
    expect(await oauth.refresh(refreshing)).toEqual({ outcome: 'rotated', tokens: TOKENS })
    expect(requests).toEqual([
      {
        method: 'POST',
        path: '/oauth/token',
        form: { grant_type: 'refresh_token', refresh_token: 'rt.old' },
        headers: { authorization: basic('new-secret') },
        timeoutMs: expect.closeTo(8000, -2),
      },
    ])
  })

  test.each([
    ['not_sent', { outcome: 'not_sent' }],
    ['timeout', { outcome: 'ambiguous', why: 'timeout' }],
    ['broken', { outcome: 'ambiguous', why: 'broken' }],
  ] as const)('whose transport was %s', async (kind, outcome) => {
    expect(await refresh(broken(kind))).toEqual(outcome)
  })

  test.each([
    [200, undefined],
    [200, null],
    [200, {}],
    [204, undefined],
    [200, 'html'],
    [200, []],
    [200, { ...PAIR, refresh_token: undefined }],
    [200, { ...PAIR, access_token: undefined }],
    [200, { ...PAIR, refresh_token: '' }],
    [200, { ...PAIR, refresh_token: 5 }],
    [200, { ...PAIR, access_token: ['a'] }],
    [200, { ...PAIR, access_token: 'a b' }],
    [200, { ...PAIR, refresh_token: 'a\r\nb' }],
    [200, { ...PAIR, access_token: 'é' }],
    [200, { ...PAIR, access_token: 'x'.repeat(8193) }],
    [200, { ...PAIR, token_type: 'mac' }],
    [301, PAIR],
    [307, undefined],
    [400, undefined],
    [403, undefined],
    [400, {}],
    [403, { message: 'Forbidden' }],
    [408, { error: 'invalid_grant' }],
  ])('answered %i with %j is ambiguous: Zoom may have rotated', async (status, body) => {
    expect(await refresh({ status, body })).toMatchObject({ outcome: 'ambiguous' })
  })

  test.each([
    ['absent', undefined, 3600],
    ['text', '3600', 3600],
    ['zero', 0, 3600],
    ['59', 59, 3600],
    ['60', 60, 60],
    ['a day', 86_400, 86_400],
    ['more than a day', 86_401, 3600],
    ['10^9', 1e9, 3600],
    ['negative', -1, 3600],
    ['a fraction', 3599.5, 3599],
    ['null', null, 3600],
  ])('whose life is %s keeps its pair', async (_what, expires_in, expiresInSeconds) => {
    expect(await refresh({ body: { ...PAIR, expires_in } })).toEqual({
      outcome: 'rotated',
      tokens: { ...TOKENS, expiresInSeconds },
    })
  })

  test('keeps a pair with the token that was sent, without a type, or with odd scopes', async () => {
    for (const odd of [
      { refresh_token: 'rt.old' },
      { token_type: undefined },
      { token_type: 'BEARER' },
      { scope: 7 },
      { scope: undefined },
    ]) {
      expect(await refresh({ body: { ...PAIR, ...odd } }), JSON.stringify(odd)).toMatchObject({ outcome: 'rotated' })
    }
    expect(await refresh({ body: { ...PAIR, scope: ' a  a b ' } })).toMatchObject({ tokens: { scopes: ['a', 'b'] } })
    expect(await refresh({ body: { ...PAIR, scope: '' } })).toMatchObject({ tokens: { scopes: [] } })
    expect(await refresh({ status: 201, body: PAIR })).toMatchObject({ outcome: 'rotated' })
  })

  test('that was refused says why', async () => {
    expect(await refresh(BAD_GRANT)).toEqual({ outcome: 'rejected', reason: 'invalid_grant', bare: true })
    expect(await refresh({ status: 401, body: { code: 4735, reason: 'x' } })).toEqual({
      outcome: 'rejected',
      reason: 'user_removed',
      bare: false,
    })
    expect(await refresh({ status: 400, body: { code: 4738 } })).toEqual({ outcome: 'blocked' })
    expect(await refresh({ status: 400, body: { code: 4717 } })).toEqual({ outcome: 'app_fault', zoomCode: 4717 })
    expect(await refresh({ status: 400, body: { error: 'invalid_request' } })).toEqual({
      outcome: 'refused',
      status: 400,
    })
    expect(await refresh({ status: 400, body: { code: 4733 } })).toEqual({ outcome: 'refused', status: 400 })
  })

  test('that Zoom failed on keeps its status, whatever the body says', async () => {
    for (const body of [undefined, { error: 'invalid_grant' }]) {
      expect(await refresh({ status: 503, body })).toEqual({ outcome: 'server_error', status: 503 })
    }
  })

  test('that was limited waits as told', async () => {
    expect(await refresh({ status: 429, headers: { 'retry-after': '9' } })).toEqual({
      outcome: 'rate_limited',
      retryAfterSeconds: 9,
    })
    expect(await refresh({ status: 429, body: { error: 'invalid_grant' } })).toEqual({
      outcome: 'rate_limited',
      retryAfterSeconds: 1,
    })
  })
})

describe('two client secrets', () => {
  test('are tried new first, the old one only where the new one was refused', async () => {
    const { oauth, requests } = endpoint(BAD_CLIENT, { body: PAIR })
    expect(await oauth.refresh(refreshing)).toMatchObject({ outcome: 'rotated' })
    expect(requests.map(({ headers }) => headers?.authorization)).toEqual([basic('new-secret'), basic('old-secret')])
    expect(requests[1]?.timeoutMs).toBeLessThanOrEqual(8000)
  })

  test.each<[string, Answer]>([
    ['invalid_grant', BAD_GRANT],
    ['a 5xx', { status: 500 }],
    ['a time-out', broken('timeout')],
    ['a disabled app', { status: 400, body: { code: 4717 } }],
    ['a 429', { status: 429, body: { error: 'invalid_client' } }],
  ])('present a refresh token once only after %s', async (_what, answer) => {
    const { oauth, requests } = endpoint(answer)
    await oauth.refresh(refreshing)
    expect(requests.length).toBe(1)
  })

  test('both refused are a fault of the app; what became of the second counts', async () => {
    expect(await refresh(BAD_CLIENT, BAD_CLIENT)).toEqual({ outcome: 'app_fault' })
    expect(await refresh(BAD_CLIENT, broken('not_sent'))).toEqual({ outcome: 'not_sent' })
    expect(await refresh(BAD_CLIENT, broken('timeout'))).toEqual({ outcome: 'ambiguous', why: 'timeout' })
    expect(await endpoint().oauth.refresh({ ...refreshing, clientSecrets: [] })).toEqual({ outcome: 'not_sent' })
  })
})

describe('an exchange', () => {
  test('sends code, redirect URI and verifier in the body', async () => {
    const { oauth, requests } = endpoint({ body: PAIR })
    expect(await oauth.exchangeCode(exchanging)).toEqual({ outcome: 'granted', tokens: TOKENS })
    expect(requests[0]).toMatchObject({
      path: '/oauth/token',
      form: { grant_type: 'authorization_code', code: 'the-code', redirect_uri: 'https://x/cb', code_verifier: 'v' },
    })
  })

  test.each<[string, Answer, string]>([
    ['invalid_grant', BAD_GRANT, 'code_refused'],
    [
      'a bad code',
      { status: 400, body: { error: 'invalid_request', reason: 'Invalid authorization code x' } },
      'code_refused',
    ],
    ['an expired code', { status: 400, body: { code: 4733 } }, 'code_refused'],
    ['bad secrets', BAD_CLIENT, 'app_fault'],
    ['a redirect mismatch', { status: 400, body: { code: 4709 } }, 'app_fault'],
    ['a 429', { status: 429, body: { error: 'x' } }, 'unavailable'],
    ['a 5xx', { status: 502, body: { error: 'invalid_grant' } }, 'unavailable'],
    ['a page', { status: 403 }, 'unavailable'],
    ['no pair', { status: 200, body: {} }, 'unavailable'],
    ['a redirect', { status: 302 }, 'unavailable'],
    ['a time-out', broken('timeout'), 'unavailable'],
    ['no connection', broken('not_sent'), 'unavailable'],
  ])('that met %s', async (_what, answer, outcome) => {
    expect(await exchange(answer)).toEqual({ outcome })
  })
})

describe('a revocation', () => {
  test.each<[string, Answer, string]>([
    ['success', { body: { status: 'success' } }, 'revoked'],
    ['a dead token', BAD_GRANT, 'refused'],
    ['bad secrets', BAD_CLIENT, 'app_fault'],
    ['a page', { status: 403 }, 'unavailable'],
    ['a 5xx', { status: 500 }, 'unavailable'],
    ['a reset', broken('broken'), 'unavailable'],
  ])('that met %s', async (_what, answer, outcome) => {
    const { oauth, requests } = endpoint(answer)
    expect(await oauth.revoke({ ...app, accessToken: 'at' })).toEqual({ outcome })
    expect(requests[0]).toMatchObject({ method: 'POST', path: '/oauth/revoke', form: { token: 'at' } })
  })
})

test('what is no fault of the transport is a bug and is thrown', async () => {
  const oauth = createZoomOAuth({ http: { send: () => Promise.reject(new TypeError('bug')) } })
  await expect(oauth.refresh(refreshing)).rejects.toThrow('bug')
})

test('the consent page gets S256 and no scope', () => {
  const request = {
    oauthBaseUrl: 'https://zoom.us/',
    clientId: 'c',
    redirectUri: 'https://x/cb?a=1',
    state: 's',
    codeChallenge: 'h',
  }
  const url = new URL(authorizeUrl(request))
  expect(url.origin + url.pathname).toBe('https://zoom.us/oauth/authorize')
  expect(Object.fromEntries(url.searchParams)).toEqual({
    response_type: 'code',
    client_id: 'c',
    redirect_uri: 'https://x/cb?a=1',
    state: 's',
    code_challenge: 'h',
    code_challenge_method: 'S256',
  })
})

test('the PKCE challenge is that of RFC 7636 appendix B, and verifiers are fresh', () => {
  expect(pkceChallenge('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk')).toBe(
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
  )
  expect(newPkceVerifier()).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(newPkceVerifier()).not.toBe(newPkceVerifier())
})

describe('the claims of an access token', () => {
  const jwt = (claims: unknown) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`

  test.each([
    [1_800_000_000, 1_800_000_000],
    [undefined, null],
    ['yesterday', null],
  ])('name user and account, and the time of issue where there is one: %j', (iat, issuedAtSeconds) => {
    const expected = { zoomUserId: 'u-1', zoomAccountId: 'a-1', issuedAtSeconds }
    expect(claimsOf(jwt({ uid: 'u-1', aid: 'a-1', ver: 9, iat }))).toEqual(expected)
  })

  test.each([
    '',
    'opaque',
    'a.b',
    'a..c',
    'a.!!!.c',
    'a.bm90anNvbg.c',
    `${jwt({ uid: 'u', aid: 'a' })}.d`,
    jwt(null),
    jwt([]),
    jwt({ uid: 'u' }),
    jwt({ uid: '', aid: 'a' }),
    jwt({ uid: 5, aid: 'a' }),
    jwt({ uid: 'a b', aid: 'a' }),
    jwt({ uid: 'x'.repeat(129), aid: 'a' }),
  ])('are null for %j', (token) => {
    expect(claimsOf(token)).toBeNull()
  })
})
