import * as z from 'zod'
import { claimsOf } from '../zoom/oauth.ts'

export const SOURCES = ['attendee', 'nango', 'recall-sample', 'csv'] as const
export type Source = (typeof SOURCES)[number]

/** One host of the file, and where in the file it stands. */
export interface SourceRow {
  place: string
  externalUserId: string
  refreshToken: string
}

export interface ParsedSource {
  rows: SourceRow[]
  /** What is wrong with the file, with its places and without any token: nothing is sent while there is anything. */
  problems: string[]
  /** Rows that the source itself calls disconnected. */
  skipped: number
}

/** Before it is checked. Undefined: there is none. */
interface RawRow {
  place: string
  externalUserId: unknown
  refreshToken: unknown
  isSkipped?: boolean
}

/** Each source in one sentence, for `--help`. */
export const SOURCE_HELP = `Sources, and what <file> holds ("-": standard input):
  csv            a header line that names external_user_id and refresh_token, then one line per host
  attendee       JSON lines or a JSON array of Zoom OAuth connections: user_id, metadata, state, and refresh_token, which
                 Attendee keeps encrypted: docs/migration.md has the export
  nango          JSON lines or a JSON array of connections as GET /connections/{id}?refresh_token=true answers:
                 connection_id, end_user, credentials.refresh_token
  recall-sample  the refresh token alone; or JSON: the token endpoint's answer, or what the app holds per user:
                 visibleUserId and refreshToken

The external_user_id of a host is, unless --external-user-id names another field by its path (such as metadata.user_id):
  attendee user_id, nango end_user.id or else connection_id, recall-sample visibleUserId or else the token's own Zoom user id.`

const USER_ID = z
  .string()
  .min(1)
  .max(200)
  .regex(/^\P{Cc}*$/u)
const TOKEN = z.string().regex(/^[\x21-\x7e]{1,8192}$/)

/** Reads a file of one of the sources. Every row is checked before any is used. */
export function parseSource(source: Source, text: string, userIdPath?: string): ParsedSource {
  const content = text.replace(/^\uFEFF/, '')
  if (content.trim() === '') return { rows: [], problems: ['the file is empty'], skipped: 0 }
  try {
    return checked(source === 'csv' ? csvRows(content) : jsonRows(source, content, userIdPath))
  } catch (error) {
    if (!(error instanceof SourceError)) throw error
    return { rows: [], problems: [error.message], skipped: 0 }
  }
}

class SourceError extends Error {}

function checked(raw: RawRow[]): ParsedSource {
  const living = raw.filter(({ isSkipped }) => !isSkipped)
  const [users, tokens] = [new Map<string, string>(), new Map<string, string>()]
  const rows: SourceRow[] = []
  const problems: string[] = []
  for (const { place, externalUserId, refreshToken } of living) {
    const user = USER_ID.safeParse(typeof externalUserId === 'number' ? String(externalUserId) : externalUserId).data
    const token = TOKEN.safeParse(refreshToken).data
    if (!user?.trim()) problems.push(`${place}: no external_user_id of 1 to 200 characters`)
    else if (!token) problems.push(`${place}: no refresh_token`)
    else {
      const [sameUser, sameToken] = [users.get(user), tokens.get(token)]
      if (sameUser) problems.push(`${place}: the same external_user_id as ${sameUser}`)
      if (sameToken) problems.push(`${place}: the same refresh_token as ${sameToken}`)
      users.set(user, place)
      tokens.set(token, place)
      rows.push({ place, externalUserId: user, refreshToken: token })
    }
  }
  return { rows, problems, skipped: raw.length - living.length }
}

/** @see https://www.rfc-editor.org/rfc/rfc4180 */
function csvRows(text: string): RawRow[] {
  const [header, ...records] = csvRecords(text)
  const names = header?.fields.map((name) => name.trim()) ?? []
  const [user, token] = [names.indexOf('external_user_id'), names.indexOf('refresh_token')]
  if (user < 0 || token < 0) throw new SourceError('line 1: the header must name external_user_id and refresh_token')
  return records
    .filter(({ fields }) => fields.length > 1 || fields[0]?.trim() !== '')
    .map(({ line, fields }) => ({
      place: `line ${line}`,
      externalUserId: fields[user],
      refreshToken: fields[token]?.trim(),
    }))
}

function csvRecords(text: string): { line: number; fields: string[] }[] {
  const records: { line: number; fields: string[] }[] = []
  let [line, startLine, field, fields, isQuoted] = [1, 1, '', [] as string[], false]
  const endRecord = () => {
    records.push({ line: startLine, fields: [...fields, field] })
    ;[field, fields, startLine] = ['', [], line + 1]
  }
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? ''
    if (isQuoted && character === '"' && text[at + 1] === '"') {
      field += '"'
      at += 1
    } else if (character === '"' && (isQuoted || field === '')) isQuoted = !isQuoted
    else if (isQuoted) field += character
    else if (character === ',') {
      fields.push(field)
      field = ''
    } else if (character === '\n') endRecord()
    else if (character !== '\r') field += character
    if (character === '\n') line += 1
  }
  if (isQuoted) throw new SourceError(`line ${startLine}: a quoted field does not end`)
  if (field !== '' || fields.length > 0) endRecord()
  return records
}

const connection = z.looseObject({})
type Connection = z.infer<typeof connection>

/** `a.b` of an object. */
function at(value: unknown, path: string): unknown {
  let found = value
  for (const name of path.split('.')) found = (found as Record<string, unknown> | null | undefined)?.[name]
  return found
}

const READERS: Record<Exclude<Source, 'csv'>, (entry: Connection) => Omit<RawRow, 'place'>> = {
  attendee: (entry) => ({
    externalUserId: entry.user_id,
    refreshToken: entry.refresh_token,
    isSkipped: entry.state === 2 || entry.state === 'disconnected',
  }),
  nango: (entry) => ({
    externalUserId: at(entry, 'end_user.id') ?? entry.connection_id,
    refreshToken: at(entry, 'credentials.refresh_token'),
  }),
  'recall-sample': (entry) => {
    const refreshToken = entry.refreshToken ?? entry.refresh_token
    const claims = typeof refreshToken === 'string' ? claimsOf(refreshToken) : null
    return { externalUserId: entry.visibleUserId ?? claims?.zoomUserId, refreshToken }
  },
}

function jsonRows(source: Exclude<Source, 'csv'>, text: string, userIdPath: string | undefined): RawRow[] {
  return entriesOf(source, text).map(({ place, value }) => {
    const entry = connection.safeParse(value).data
    if (!entry) throw new SourceError(`${place}: expected a JSON object`)
    const row = { place, ...READERS[source](entry) }
    return userIdPath === undefined ? row : { ...row, externalUserId: at(entry, userIdPath) }
  })
}

/** An array, an object, an object with a list of connections, or one object per line. */
function entriesOf(source: Source, text: string): { place: string; value: unknown }[] {
  const whole = parsed(text)
  if (whole === undefined) {
    const isBareToken = source === 'recall-sample' && TOKEN.safeParse(text.trim()).success
    if (isBareToken) return [{ place: 'line 1', value: { refreshToken: text.trim() } }]
    return text.split('\n').flatMap((line, index) => {
      if (line.trim() === '') return []
      const value = parsed(line)
      if (value === undefined) throw new SourceError(`line ${index + 1}: expected JSON`)
      return [{ place: `line ${index + 1}`, value }]
    })
  }
  const list = Array.isArray(whole) ? whole : (at(whole, 'connections') ?? at(whole, 'results') ?? [whole])
  if (!Array.isArray(list)) throw new SourceError('expected a list of connections')
  return list.map((value: unknown, index) => ({ place: `entry ${index + 1}`, value }))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
