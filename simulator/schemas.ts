import { z } from 'zod'

/** Zoom's spelling of a meeting number: people give it as a number or as text, we keep text. */
const meetingNumber = z
  .union([z.string(), z.number().int()])
  .transform(String)
  .pipe(z.string().regex(/^\d{9,12}$/, 'expected 9 to 12 digits'))

/** A Zoom app to add or change; what is left out keeps its value, or takes the default named in docs/simulator.md. */
export const appInput = z.strictObject({
  client_id: z.string().min(1),
  client_secret: z.string().min(1).optional(),
  client_secrets: z.array(z.string().min(1)).min(1).max(2).optional(),
  name: z.string().min(1).optional(),
  kind: z.enum(['user', 'account']).optional(),
  redirect_uris: z.array(z.string().min(1)).optional(),
  scopes: z.array(z.string().min(1)).optional(),
  disabled: z.boolean().optional(),
})

/** A Zoom user to add or change, found by `id`, else by `email`. */
export const userInput = z
  .strictObject({
    id: z.string().min(1).optional(),
    email: z.email().optional(),
    account_id: z.string().min(1).optional(),
    display_name: z.string().optional(),
    pmi: meetingNumber.optional(),
    vanity_url: z.string().optional(),
    verified: z.boolean().optional(),
    status: z.enum(['active', 'deactivated']).optional(),
    role: z.enum(['owner', 'admin', 'member']).optional(),
    local_recording: z.boolean().optional(),
    waiting_room: z.boolean().optional(),
    can_host: z.boolean().optional(),
    removed_app: z.boolean().optional(),
    admin_disabled: z.boolean().optional(),
    owner_removed: z.boolean().optional(),
  })
  .refine((user) => user.id !== undefined || user.email !== undefined, 'expected id or email')

/** A meeting or webinar to add or change; `host` is the id or e-mail of a known user. */
export const meetingInput = z.strictObject({
  id: meetingNumber,
  host: z.string().min(1).optional(),
  topic: z.string().optional(),
  kind: z.enum(['meeting', 'webinar']).optional(),
  type: z.number().int().optional(),
  start_time: z.string().optional(),
  waiting_room: z.boolean().optional(),
  alternative_hosts: z.string().optional(),
  live: z.boolean().optional(),
  ended: z.boolean().optional(),
})

/** Which reading of an undocumented behaviour Zoom follows; see docs/simulator.md for each. */
const modesSchema = z.strictObject({
  accessTokenLifeSeconds: z.number().positive(),
  refreshTokenLifeSeconds: z.number().positive(),
  refreshKillsAccessToken: z.boolean(),
  familyRevocation: z.boolean(),
  graceSeconds: z.number().nonnegative(),
  graceAnswer: z.enum(['same', 'another']),
  namesSuperseded: z.boolean(),
  refreshChecksScopes: z.boolean(),
  revokeByRefreshToken: z.boolean(),
  refuseScopeParameter: z.boolean(),
  signedInUser: z.string().nullable(),
  opaqueAccessTokens: z.boolean(),
  emailVerified: z.boolean(),
  obfSingleUse: z.boolean(),
  obfRequiresMeetingId: z.boolean(),
  zakByZakScope: z.boolean(),
  joinNeedsHostToken: z.boolean(),
  nonHostCode: z.union([z.literal(3001), z.literal(1010), z.literal(4700), z.literal(124), z.literal(4711)]),
  unknownMeetingCode: z.union([z.literal(3001), z.literal(300)]),
  enforceRateLimit: z.boolean(),
  rateLimitPerSecond: z.strictObject({ light: z.number().int().positive(), medium: z.number().int().positive() }),
  latencyMs: z.number().nonnegative(),
  recallSignedKinds: z.array(z.enum(['join', 'obf', 'zak', 'access'])),
  recallRetries: z.number().int().nonnegative(),
  recallSharesIds: z.boolean(),
})

/** Any part of the modes; what is left out stays as it is. */
export const modesInput = modesSchema.partial()

/** One request as a bot of Recall would make it. */
export const recallCallInput = z.strictObject({
  url: z.url({ protocol: /^https?$/ }),
  secret: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).optional(),
  id: z.string().min(1).optional(),
  bot: z.string().min(1).optional(),
  timestamp: z.number().int().optional(),
  family: z.enum(['webhook', 'svix']).optional(),
  method: z.string().min(1).optional(),
  timeout_ms: z.number().int().positive().optional(),
})

/** One event as Zoom would deliver it. */
export const webhookInput = z.strictObject({
  url: z.url({ protocol: /^https?$/ }),
  secret: z.string().min(1).optional(),
  event: z.looseObject({ event: z.string().min(1) }),
  timestamp: z.number().int().optional(),
  timeout_ms: z.number().int().positive().optional(),
})

export const revokeInput = z.strictObject({ user_id: z.string().min(1), client_id: z.string().min(1).optional() })
export const expireInput = z.strictObject({ user_id: z.string().min(1).optional() })
export const clockInput = z.strictObject({ advance_seconds: z.number() })
export const releaseInput = z.strictObject({ id: z.string().min(1).optional() })

/** Which lines of the log to return; all given parts must hold, `path` is a prefix. */
export const logFilter = z.strictObject({
  method: z.string().optional(),
  path: z.string().optional(),
  status: z.coerce.number().int().optional(),
  user_id: z.string().optional(),
  client_id: z.string().optional(),
  grant_type: z.string().optional(),
})

/** An SDK join with what a bot holds: any one token, or the join token with the host's OBF or ZAK. */
export const joinInput = z.strictObject({
  meeting_id: meetingNumber,
  token: z.string().min(1).optional(),
  on_behalf_token: z.string().min(1).optional(),
  zak: z.string().min(1).optional(),
})

export type AppInput = z.input<typeof appInput>
export type UserInput = z.input<typeof userInput>
export type MeetingInput = z.input<typeof meetingInput>
export type SimulatorModes = z.infer<typeof modesSchema>
/** Some of the modes; the others stay as they are. */
export type ModesInput = z.input<typeof modesInput>
export type RecallCallInput = z.input<typeof recallCallInput>
export type WebhookInput = z.input<typeof webhookInput>
export type LogFilter = z.input<typeof logFilter>
export type JoinInput = z.input<typeof joinInput>
