import { z } from 'zod'
import { faultInput } from './fault-schema.ts'
import { appInput, meetingInput, modesInput, type SimulatorModes, userInput } from './schemas.ts'

/** What a simulator starts with and returns to on reset, beside the defaults below. */
export const seedSchema = z.strictObject({
  apps: z.array(appInput).optional(),
  users: z.array(userInput).optional(),
  meetings: z.array(meetingInput).optional(),
  modes: modesInput.optional(),
  faults: z.array(faultInput).optional(),
})

export type Seed = z.input<typeof seedSchema>

/** Scopes of a user-level app that can do all that Latchkey offers. */
export const USER_SCOPES = [
  'meeting:read:local_recording_token',
  'user:read:token',
  'user:read:zak',
  'user:read:user',
  'meeting:read:list_meetings',
  'meeting:read:meeting',
  'user:read:settings',
]

/** The same for an app that an administrator installs for a whole account. */
export const ACCOUNT_SCOPES = [...USER_SCOPES.map((scope) => `${scope}:admin`), 'user:read:list_users:admin']

/** The strict reading of each point that Zoom does not document. */
export const DEFAULT_MODES: SimulatorModes = {
  accessTokenLifeSeconds: 3600,
  refreshTokenLifeSeconds: 90 * 24 * 3600,
  refreshKillsAccessToken: true,
  familyRevocation: false,
  graceSeconds: 0,
  graceAnswer: 'same',
  namesSuperseded: false,
  refreshChecksScopes: false,
  revokeByRefreshToken: false,
  refuseScopeParameter: true,
  signedInUser: null,
  opaqueAccessTokens: false,
  emailVerified: true,
  obfSingleUse: true,
  obfRequiresMeetingId: false,
  zakByZakScope: true,
  joinNeedsHostToken: false,
  nonHostCode: 3001,
  unknownMeetingCode: 3001,
  enforceRateLimit: false,
  rateLimitPerSecond: { light: 30, medium: 20 }, // Zoom's figures for a Pro account
  latencyMs: 0,
  recallSignedKinds: ['join', 'obf', 'zak', 'access'],
  recallRetries: 0,
  recallSharesIds: false,
}

const ACCOUNT_ID = 'EQK5vVqQTkqVnhlW3xTJ9A'

/** One app of each kind, two hosts of one account with a meeting each, and a webinar: useful without any set-up. */
export const DEFAULT_SEED = {
  apps: [
    { client_id: 'simulator-client-id', client_secret: 'simulator-client-secret', name: 'Simulated app' },
    {
      client_id: 'simulator-account-client-id',
      client_secret: 'simulator-account-client-secret',
      name: 'Simulated account app',
      kind: 'account',
    },
  ],
  users: [
    {
      id: 'KdYKjnimT4KPd8FFgQt9FQ',
      email: 'host@example.com',
      account_id: ACCOUNT_ID,
      display_name: 'Hana Host',
      pmi: '5551112222',
    },
    {
      id: 'z8yCxTTTSiW02QgCAp8uQg',
      email: 'other-host@example.com',
      account_id: ACCOUNT_ID,
      display_name: 'Otto Other',
      pmi: '5553334444',
    },
  ],
  meetings: [
    { id: '85996249517', host: 'host@example.com', topic: 'Weekly review' },
    { id: '82345678901', host: 'other-host@example.com', topic: 'Sales call' },
    { id: '93398114182', host: 'host@example.com', topic: 'Launch webinar', kind: 'webinar' },
  ],
} satisfies Seed
