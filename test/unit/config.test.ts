import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConfigError, parseConfig, SECRET_NAMES } from '../../src/config.ts'

const key = (kid: string) => `${kid}:${randomBytes(32).toString('base64')}`
const production = () => ({
  NODE_ENV: 'production',
  PUBLIC_BASE_URL: 'https://latchkey.example',
  DATABASE_URL: 'postgresql://user:database-password@db/latchkey',
  INSTALLATION_ID: 'production-eu',
  ENCRYPTION_KEYS: key('k1'),
  OPERATOR_API_KEY: randomBytes(24).toString('hex'),
})
function problemsOf(env: Record<string, string | undefined>): string[] {
  try {
    parseConfig(env)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems
  }
}
const file = (text: string) => {
  const path = join(mkdtempSync(join(tmpdir(), 'latchkey-config-')), 'secret')
  writeFileSync(path, text)
  return path
}

describe('production', () => {
  test('starts with its required names, and every default is settled', () => {
    const config = parseConfig(production())
    expect(config).toMatchObject({
      PORT: 4000,
      METRICS_PORT: 9464,
      OPEN_CONNECT: false,
      MIGRATE_ON_START: false,
      isHttps: true,
    })
    expect(config.ZOOM_OAUTH_APP_REDIRECT_URI).toBe('https://latchkey.example/zoom/oauth/callback')
    expect(config.DATABASE_MINT_URL).toBe(config.DATABASE_URL)
    expect(config.insecureDefaults).toEqual([])
  })
  test.each(Object.keys(production()).filter((name) => name !== 'NODE_ENV'))(
    'does not start without %s, and says so',
    (name) => {
      expect(problemsOf({ ...production(), [name]: undefined })).toEqual([`${name} is required in production`])
      expect(problemsOf({ ...production(), [name]: '' })).toEqual([`${name} is required in production`])
    },
  )
  test('names every problem at once', () => {
    const problems = problemsOf({
      NODE_ENV: 'production',
      PORT: 'eighty',
      LOG_LEVEL: 'loud',
      ALLOW_HTTP_UPSTREAM: 'true',
    })
    for (const name of [
      'PORT',
      'LOG_LEVEL',
      'ALLOW_HTTP_UPSTREAM',
      'DATABASE_URL',
      'ENCRYPTION_KEYS',
      'OPERATOR_API_KEY',
    ])
      expect(problems.join('\n')).toContain(name)
  })
  test.each([
    ['PUBLIC_BASE_URL', 'http://latchkey.example'],
    ['PUBLIC_BASE_URL', 'https://latchkey.example/path'],
    ['PUBLIC_BASE_URL', 'https://user:secret@latchkey.example'],
    ['ZOOM_OAUTH_BASE_URL', 'http://zoom.example'],
    ['ZOOM_API_BASE_URL', 'http://zoom.example/v2'],
    ['ALLOW_HTTP_UPSTREAM', 'true'],
  ])('refuses %s=%s', (name, value) => {
    expect(problemsOf({ ...production(), [name]: value }).join()).toContain(name)
  })
  test('is of one of Zoom’s clouds: both base URLs are of Zoom for Government, or neither', () => {
    const oauth = { ZOOM_OAUTH_BASE_URL: 'https://zoomgov.com' }
    expect(problemsOf({ ...production(), ...oauth }).join()).toContain('must be of one cloud')
    expect(problemsOf({ ...production(), ...oauth, ZOOM_API_BASE_URL: 'https://api.zoomgov.com/v2' })).toEqual([])
  })
})

describe('secrets', () => {
  test.each([
    ['hex in place of base64', `k1:${randomBytes(32).toString('hex')}`],
    ['31 bytes', `k1:${randomBytes(31).toString('base64')}`],
    ['all zero', `k1:${Buffer.alloc(32).toString('base64')}`],
    ['no kid', randomBytes(32).toString('base64')],
  ])('an encryption key that is %s is refused', (_what, value) => {
    const problems = problemsOf({ ...production(), ENCRYPTION_KEYS: value })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain('ENCRYPTION_KEYS')
    expect(problems[0]).not.toContain(value.slice(3))
  })
  test('a repeated kid is refused', () => {
    expect(problemsOf({ ...production(), ENCRYPTION_KEYS: `${key('k1')},${key('k1')}` })).toHaveLength(1)
  })
  test('an operator key shorter than 32 characters is refused; two serve during rotation, three do not', () => {
    const long = () => randomBytes(20).toString('hex')
    expect(problemsOf({ ...production(), OPERATOR_API_KEY: 'short' })).toHaveLength(1)
    expect(parseConfig({ ...production(), OPERATOR_API_KEY: `${long()},${long()}` }).OPERATOR_API_KEY).toHaveLength(2)
    expect(problemsOf({ ...production(), OPERATOR_API_KEY: [long(), long(), long()].join() })).toHaveLength(1)
  })
  test('one value may not serve as two secrets', () => {
    const same = randomBytes(24).toString('hex')
    expect(problemsOf({ ...production(), OPERATOR_API_KEY: same, RECALL_API_KEY: same })).toHaveLength(1)
  })
  test.each(['whsec_short', 'no-prefix', 'whsec_***'])('the Recall secret %s is refused', (value) => {
    expect(problemsOf({ ...production(), RECALL_VERIFICATION_SECRETS: value }).join()).toContain(
      'RECALL_VERIFICATION_SECRETS',
    )
  })
  test('every secret may come from the file that <NAME>_FILE names, its last newline ignored', () => {
    const { OPERATOR_API_KEY: value, ...rest } = production()
    expect(parseConfig({ ...rest, OPERATOR_API_KEY_FILE: file(`${value}\n`) }).OPERATOR_API_KEY).toEqual([value])
    expect(SECRET_NAMES).toContain('OPERATOR_API_KEY')
  })
  test('a file that cannot be read, and a secret given twice, are named', () => {
    const both = { ...production(), OPERATOR_API_KEY_FILE: file('x'.repeat(40)) }
    expect(problemsOf(both).join()).toContain('OPERATOR_API_KEY_FILE')
    const missing = { ...production(), OPERATOR_API_KEY: undefined, OPERATOR_API_KEY_FILE: '/nowhere/at/all' }
    expect(problemsOf(missing).join()).toContain('OPERATOR_API_KEY_FILE')
  })
  test('two empty secret files count as unset', () => {
    const empty = { RECALL_API_KEY_FILE: file(''), ZOOM_WEBHOOK_SECRET_TOKEN_FILE: file('\n') }
    expect(problemsOf({ ...production(), ...empty })).toEqual([])
  })
  test('no problem ever prints a value', () => {
    const canary = 'canary-value-that-must-not-be-printed'
    const env = Object.fromEntries(
      [
        'PORT',
        'PUBLIC_BASE_URL',
        'ENCRYPTION_KEYS',
        'TRUSTED_PROXIES',
        'RECALL_VERIFICATION_SECRETS',
        'LOG_LEVEL',
        'DATABASE_URL',
        'OPEN_CONNECT',
      ].map((name) => [name, canary]),
    )
    const problems = problemsOf({ ...production(), ...env })
    expect(problems.length).toBeGreaterThanOrEqual(8)
    expect(problems.join('\n')).not.toContain(canary)
  })
})

describe('outside production', () => {
  const development = {
    DATABASE_URL: 'postgresql://localhost/x',
    ENCRYPTION_KEYS: key('dev'),
    OPERATOR_API_KEY: 'x'.repeat(40),
  }
  test('insecure defaults are in force and named', () => {
    const config = parseConfig({ ...development, PORT: '4444' })
    expect(config).toMatchObject({
      PUBLIC_BASE_URL: 'http://localhost:4444',
      OPEN_CONNECT: true,
      INSTALLATION_ID: 'development',
    })
    expect(config.insecureDefaults).toEqual(['PUBLIC_BASE_URL', 'INSTALLATION_ID', 'OPEN_CONNECT'])
  })
  test('http upstreams are taken on loopback, elsewhere only with ALLOW_HTTP_UPSTREAM', () => {
    expect(problemsOf({ ...development, ZOOM_OAUTH_BASE_URL: 'http://127.0.0.1:4010' })).toEqual([])
    expect(problemsOf({ ...development, ZOOM_OAUTH_BASE_URL: 'http://simulator:4010' })).toHaveLength(1)
    expect(
      problemsOf({ ...development, ZOOM_OAUTH_BASE_URL: 'http://simulator:4010', ALLOW_HTTP_UPSTREAM: 'true' }),
    ).toEqual([])
  })
  test('an empty value counts as unset', () => {
    expect(parseConfig({ ...development, PORT: '', LOG_LEVEL: '' })).toMatchObject({ PORT: 4000, LOG_LEVEL: 'info' })
  })
})
