import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import fastifyEnv from '@fastify/env'
import fp from 'fastify-plugin'
import { z } from 'zod'
import { parseWebhookSecret } from './lib/standard-webhooks.ts'
import { cloudOf } from './zoom/cloud.ts'

/** Names whose value may instead stand in a file that `<NAME>_FILE` names. */
export const SECRET_NAMES = [
  'DATABASE_URL',
  'DATABASE_MINT_URL',
  'DATABASE_MIGRATION_URL',
  'ENCRYPTION_KEYS',
  'OPERATOR_API_KEY',
  'ZOOM_OAUTH_APP_CLIENT_SECRET',
  'ZOOM_WEBHOOK_SECRET_TOKEN',
  'RECALL_VERIFICATION_SECRETS',
  'RECALL_API_KEY',
] as const

const LOOPBACK_HOSTS = new Set(['localhost', '127.0.0.1', '[::1]'])

const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^[0-9]{1,9}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`)
const flag = z.enum(['true', 'false'], 'must be true or false').transform((value) => value === 'true')
const text = z.string().max(4096, 'is too long')
const commaList = text.transform((value) =>
  value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
)
const databaseUrl = text.regex(/^postgres(ql)?:\/\/\S+$/, 'must be a postgresql:// URL')
const httpUrl = text.transform((value, context) => {
  const url = URL.canParse(value) ? new URL(value) : null
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    context.addIssue({
      code: 'custom',
      message: 'must be an http(s) URL without user, password, query and fragment',
      input: '',
    })
    return z.NEVER
  }
  return url.href.replace(/\/+$/, '')
})
const pageUrl = text.refine((value) => {
  const url = URL.canParse(value) ? new URL(value) : null
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
}, 'must be an http(s) URL without user and password')
const cidr = /^([0-9.]+|[0-9a-fA-F:]+)(\/[0-9]{1,3})?$/

/** One 32-byte key, written `kid:base64`. */
function parseEncryptionKey(entry: string): { kid: string; key: Buffer } | null {
  const match = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/]{43}=)$/.exec(entry)
  const key = Buffer.from(match?.[2] ?? '', 'base64')
  return match?.[1] && key.length === 32 && key.some((byte) => byte !== 0) ? { kid: match[1], key } : null
}
const encryptionKeys = commaList.transform((entries, context) => {
  const keys = entries.map(parseEncryptionKey)
  if (keys.length === 0 || keys.includes(null)) {
    const message = 'must be kid:base64-of-32-random-bytes, comma-separated (openssl rand -base64 32; not hex)'
    context.addIssue({ code: 'custom', message, input: '' })
    return z.NEVER
  }
  const valid = keys.filter((key) => key !== null)
  if (new Set(valid.map(({ kid }) => kid)).size < valid.length) {
    context.addIssue({ code: 'custom', message: 'names one key id twice', input: '' })
    return z.NEVER
  }
  return valid
})
const operatorKeys = commaList
  .refine((keys) => keys.length >= 1 && keys.length <= 2, 'must be one key, or two during rotation')
  .refine((keys) => keys.every((key) => key.length >= 32), 'must be at least 32 characters')
const recallSecrets = commaList.transform((entries, context) => {
  const keys = entries.map((entry) => parseWebhookSecret(entry))
  if (keys.includes(null)) {
    const message = 'must be whsec_ followed by base64 of 24 to 64 bytes, comma-separated'
    context.addIssue({ code: 'custom', message, input: '' })
    return z.NEVER
  }
  return keys.filter((key) => key !== null)
})
const secretPair = commaList.refine((secrets) => secrets.length <= 2, 'must be one secret, or two during rotation')
const proxies = commaList.refine(
  (list) => list.every((entry) => cidr.test(entry) && isIP(entry.split('/')[0] ?? '') !== 0),
  'must be CIDRs, comma-separated',
)

/** The environment of contract §3: every name, its check and its default. Defaults that depend on another name are below. */
export const configSchema = z.object({
  NODE_ENV: text.optional(),
  HOST: text.default('0.0.0.0'),
  PORT: whole(0, 65_535).default(4000),
  METRICS_PORT: whole(0, 65_535).default(9464),
  PUBLIC_BASE_URL: httpUrl.optional(),
  TRUSTED_PROXIES: proxies.default([]),
  DATABASE_URL: databaseUrl.optional(),
  DATABASE_MINT_URL: databaseUrl.optional(),
  DATABASE_MIGRATION_URL: databaseUrl.optional(),
  DATABASE_POOL_MAX: whole(1, 500).default(10),
  MIGRATE_ON_START: flag.default(false),
  INSTALLATION_ID: text.regex(/^[\x21-\x7e]{1,100}$/, 'must be 1 to 100 printable characters').optional(),
  ENCRYPTION_KEYS: encryptionKeys.optional(),
  OPERATOR_API_KEY: operatorKeys.optional(),
  ZOOM_OAUTH_APP_CLIENT_ID: text.optional(),
  ZOOM_OAUTH_APP_CLIENT_SECRET: secretPair.default([]),
  ZOOM_OAUTH_APP_REDIRECT_URI: httpUrl.optional(),
  ZOOM_WEBHOOK_SECRET_TOKEN: secretPair.default([]),
  ZOOM_OAUTH_BASE_URL: httpUrl.default('https://zoom.us'),
  ZOOM_API_BASE_URL: httpUrl.default('https://api.zoom.us/v2'),
  ALLOW_HTTP_UPSTREAM: flag.default(false),
  RECALL_VERIFICATION_SECRETS: recallSecrets.default([]),
  RECALL_REGION: text.optional(),
  RECALL_API_KEY: text.optional(),
  RECALL_API_BASE_URL: httpUrl.optional(),
  PLAIN_CALLBACK_URLS: flag.default(false),
  OPEN_CONNECT: flag.optional(),
  INSTALL_START_URL: pageUrl.optional(),
  SIGNATURE_TOLERANCE_SECONDS: whole(1, 3600).default(300),
  ZOOM_TIMEOUT_MS: whole(100, 30_000).default(2000),
  MINT_DEADLINE_MS: whole(200, 60_000).default(4500),
  REFRESH_MARGIN_SECONDS: whole(60, 3000).default(300),
  GRANT_KEEPALIVE_HOURS: whole(6, 2160).default(168),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'must be a pino level')
    .default('info'),
})

type Parsed = z.output<typeof configSchema>
type Settled =
  | 'PUBLIC_BASE_URL'
  | 'DATABASE_URL'
  | 'DATABASE_MINT_URL'
  | 'DATABASE_MIGRATION_URL'
  | 'INSTALLATION_ID'
  | 'ENCRYPTION_KEYS'
  | 'OPERATOR_API_KEY'
  | 'ZOOM_OAUTH_APP_REDIRECT_URI'
  | 'OPEN_CONNECT'

/** The checked environment, every default settled. */
export type Config = Omit<Parsed, Settled> & { [Name in Settled]: NonNullable<Parsed[Name]> } & {
  isProduction: boolean
  /** PUBLIC_BASE_URL is https, so cookies are Secure. */
  isHttps: boolean
  /** Insecure defaults in force outside production, for one warning at start. */
  insecureDefaults: string[]
}

/** Every problem of the environment at once; its message holds names and what to do, never a value. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: string[]
  constructor(problems: string[]) {
    super(`The environment is not usable:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** An empty string counts as unset, and `<NAME>_FILE` is replaced by what the file holds. */
function readValues(env: Record<string, string | undefined>, problems: string[]): Record<string, string> {
  const values: Record<string, string> = {}
  for (const name of Object.keys(configSchema.shape)) if (env[name]) values[name] = env[name]
  for (const name of SECRET_NAMES) {
    const path = env[`${name}_FILE`]
    if (!path) continue
    if (values[name]) problems.push(`${name} and ${name}_FILE are both set; keep one`)
    try {
      const value = readFileSync(path, 'utf8').trim()
      if (value !== '') values[name] = value // an empty file counts as unset, as an empty variable does
    } catch {
      problems.push(`${name}_FILE names a file that cannot be read`)
    }
  }
  return values
}

const isLoopback = (url: string) => LOOPBACK_HOSTS.has(new URL(url).hostname)

function checkUpstream(name: string, url: string | undefined, config: Partial<Parsed>, problems: string[]): void {
  if (!url || url.startsWith('https:') || isLoopback(url)) return
  if (!config.ALLOW_HTTP_UPSTREAM) problems.push(`${name} must be https (http only on loopback)`)
}

/** What production demands and what only development may have. */
function checkProduction(config: Partial<Parsed>, values: Record<string, string>, problems: string[]): void {
  for (const name of [
    'PUBLIC_BASE_URL',
    'DATABASE_URL',
    'INSTALLATION_ID',
    'ENCRYPTION_KEYS',
    'OPERATOR_API_KEY',
  ] as const)
    if (!values[name]) problems.push(`${name} is required in production`)
  if (config.PUBLIC_BASE_URL?.startsWith('http:')) problems.push('PUBLIC_BASE_URL must be https in production')
  if (config.ALLOW_HTTP_UPSTREAM) problems.push('ALLOW_HTTP_UPSTREAM=true is refused in production')
}

function checkTogether(config: Partial<Parsed>, values: Record<string, string>, problems: string[]): void {
  if (config.PUBLIC_BASE_URL && new URL(config.PUBLIC_BASE_URL).pathname !== '/')
    problems.push('PUBLIC_BASE_URL must have no path')
  if (values.ZOOM_OAUTH_APP_CLIENT_ID && !config.ZOOM_OAUTH_APP_CLIENT_SECRET?.length)
    problems.push('ZOOM_OAUTH_APP_CLIENT_SECRET is required beside ZOOM_OAUTH_APP_CLIENT_ID')
  if (!values.ZOOM_OAUTH_APP_CLIENT_ID && config.ZOOM_OAUTH_APP_CLIENT_SECRET?.length)
    problems.push('ZOOM_OAUTH_APP_CLIENT_ID is required beside ZOOM_OAUTH_APP_CLIENT_SECRET')
  for (const name of ['ZOOM_OAUTH_BASE_URL', 'ZOOM_API_BASE_URL', 'RECALL_API_BASE_URL', 'INSTALL_START_URL'] as const)
    checkUpstream(name, config[name], config, problems)
  const { ZOOM_OAUTH_BASE_URL: oauthUrl, ZOOM_API_BASE_URL: apiUrl } = config
  if (oauthUrl && apiUrl && cloudOf(oauthUrl) !== cloudOf(apiUrl))
    problems.push('ZOOM_OAUTH_BASE_URL and ZOOM_API_BASE_URL must be of one cloud: both of zoomgov.com, or neither')
  if (config.MINT_DEADLINE_MS && config.ZOOM_TIMEOUT_MS && config.ZOOM_TIMEOUT_MS > config.MINT_DEADLINE_MS)
    problems.push('ZOOM_TIMEOUT_MS must not be longer than MINT_DEADLINE_MS')
  const secrets = SECRET_NAMES.filter((name) => !name.startsWith('DATABASE')).map((name) => values[name])
  const known = secrets.filter((value) => value !== undefined)
  if (new Set(known).size < known.length) problems.push('two secrets have the same value; each needs its own')
}

/** Outside production only: what the service then runs with, unasked. */
function insecureDefaults(values: Record<string, string>, isProduction: boolean): string[] {
  if (isProduction) return []
  const names = [
    'PUBLIC_BASE_URL',
    'DATABASE_URL',
    'INSTALLATION_ID',
    'ENCRYPTION_KEYS',
    'OPERATOR_API_KEY',
    'OPEN_CONNECT',
  ]
  return names.filter((name) => !values[name])
}

/**
 * Checks and completes the environment.
 * @throws ConfigError naming every problem at once, and no value
 */
export function parseConfig(env: Record<string, string | undefined>): Config {
  const problems: string[] = []
  const values = readValues(env, problems)
  const parsed: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(configSchema.shape)) {
    const result = schema.safeParse(values[name])
    if (result.success) parsed[name] = result.data
    else problems.push(`${name} ${result.error.issues[0]?.message ?? 'is not valid'}`)
  }
  const config = parsed as Partial<Parsed>
  const isProduction = values.NODE_ENV === 'production'
  checkTogether(config, values, problems)
  if (isProduction) checkProduction(config, values, problems)
  else
    for (const name of ['DATABASE_URL', 'ENCRYPTION_KEYS', 'OPERATOR_API_KEY'] as const)
      if (!values[name]) problems.push(`${name} is not set`)
  if (problems.length > 0) throw new ConfigError([...new Set(problems)])
  return settle(config as Parsed, values, isProduction)
}

function settle(config: Parsed, values: Record<string, string>, isProduction: boolean): Config {
  const publicBaseUrl = config.PUBLIC_BASE_URL ?? `http://localhost:${config.PORT}`
  const databaseUrlValue = config.DATABASE_URL as string
  return {
    ...config,
    PUBLIC_BASE_URL: publicBaseUrl,
    DATABASE_URL: databaseUrlValue,
    DATABASE_MINT_URL: config.DATABASE_MINT_URL ?? databaseUrlValue,
    DATABASE_MIGRATION_URL: config.DATABASE_MIGRATION_URL ?? databaseUrlValue,
    INSTALLATION_ID: config.INSTALLATION_ID ?? 'development',
    ENCRYPTION_KEYS: config.ENCRYPTION_KEYS as NonNullable<Parsed['ENCRYPTION_KEYS']>,
    OPERATOR_API_KEY: config.OPERATOR_API_KEY as string[],
    ZOOM_OAUTH_APP_REDIRECT_URI: config.ZOOM_OAUTH_APP_REDIRECT_URI ?? `${publicBaseUrl}/zoom/oauth/callback`,
    OPEN_CONNECT: config.OPEN_CONNECT ?? !isProduction,
    isProduction,
    isHttps: publicBaseUrl.startsWith('https:'),
    insecureDefaults: insecureDefaults(values, isProduction),
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
    /** The raw names, as @fastify/env read them; only this file interprets them. */
    env: Record<string, string | undefined>
  }
}

/** Reads the names as plain strings through @fastify/env, checks them all and decorates `app.config`. @throws ConfigError */
export const config = fp(
  async (app, { env }: { env: Record<string, string | undefined> }) => {
    const names = [...Object.keys(configSchema.shape), ...SECRET_NAMES.map((name) => `${name}_FILE`)]
    const schema = { type: 'object', properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) }
    // env: false keeps this machine's own variables out; what counts is what the caller handed in
    await app.register(fastifyEnv, { confKey: 'env', schema, env: false, data: env })
    app.decorate('config', parseConfig(app.env))
  },
  { name: 'config' },
)
