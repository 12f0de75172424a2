import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { MEETING_ID } from '../../src/zoom/meeting-id.ts'

const url = (fallback: string) =>
  z
    .url({ protocol: /^https?$/ })
    .transform((value) => value.replace(/\/+$/, ''))
    .default(fallback)
const meeting = z.string().regex(MEETING_ID, 'must be 9 to 12 digits').optional()
const secret = z.string().min(1).optional()
const seconds = (fallback: number) => z.coerce.number().min(1).max(3600).default(fallback)

const schema = z.object({
  VERIFY_LATCHKEY_URL: url('http://localhost:4000'),
  VERIFY_LATCHKEY_KEY: secret,
  VERIFY_HOST_ID: z.uuid().optional(),
  /** Of that host. */
  VERIFY_MEETING: meeting,
  /** Of anybody else. */
  VERIFY_OTHERS_MEETING: meeting,
  /** Of nobody. */
  VERIFY_UNKNOWN_MEETING: meeting,
  /** Joins as an SDK bot would: POST {meeting_id, on_behalf_token} answers {joined}. */
  VERIFY_SDK_JOIN_URL: z.url().optional(),
  VERIFY_WAIT_SECONDS: seconds(700),
  ZOOM_API_BASE_URL: url('https://api.zoom.us/v2'),
  ZOOM_OAUTH_BASE_URL: url('https://zoom.us'),
  /** For what needs a refresh token, of a user that no Latchkey refreshes: it is spent. */
  VERIFY_REFRESH_TOKEN: secret,
  VERIFY_ZOOM_CLIENT_ID: z.string().min(1).optional(),
  VERIFY_ZOOM_CLIENT_SECRET: secret,
  VERIFY_RECALL_API_KEY: secret,
  VERIFY_RECALL_BASE_URL: url('https://us-east-1.recall.ai'),
  /** Where the bots go: a link to VERIFY_MEETING, which must have begun. */
  VERIFY_MEETING_URL: z.url().optional(),
  /** The id of the Zoom app at Recall, for the access-token callback. */
  VERIFY_RECALL_OAUTH_APP: z.string().min(1).optional(),
  VERIFY_BOT_SECONDS: seconds(120),
  /** Read only: how many request ids a bot used stands nowhere else. */
  VERIFY_DATABASE_URL: secret,
})

export type Settings = z.output<typeof schema>

/** A name's value, or the text of the file that `<NAME>_FILE` names; an empty one is none. */
function givenAs(name: string, env: Record<string, string | undefined>): string | undefined {
  const file = env[`${name}_FILE`]
  const value = env[name] || (file ? readFileSync(file, 'utf8').trim() : undefined)
  return value || undefined
}

/** Settings from the environment alone: what stands on a command line is seen by every user of the machine. @throws Error naming all faults and no value */
export function settingsFrom(env: Record<string, string | undefined>): Settings {
  const given = Object.fromEntries(Object.keys(schema.shape).map((name) => [name, givenAs(name, env)]))
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  throw new Error(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n'))
}
