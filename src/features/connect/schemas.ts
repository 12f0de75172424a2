import { z } from 'zod'
import { externalUserId, isoTime } from '../../plugins/responses.ts'
import { MIN_SESSION_SECONDS } from './service.ts'

const MAX_SESSION_SECONDS = 604_800

export const createConnectSessionBody = z.strictObject({
  external_user_id: externalUserId(),
  kind: z.enum(['host', 'organization']).default('host'),
  return_url: z.string().min(1).max(2000).optional(),
  expected_email: z
    .string()
    .max(320)
    .trim()
    .regex(/^[^\s\p{C}@]{1,64}@[^\s\p{C}@]{1,255}$/u, 'must be one e-mail address')
    .optional(),
  expires_in_seconds: z.int().min(MIN_SESSION_SECONDS).max(MAX_SESSION_SECONDS).default(MIN_SESSION_SECONDS),
  on_other_zoom_user: z.enum(['refuse', 'replace']).default('refuse'),
})

export const connectSessionResponse = z.object({ id: z.uuid(), url: z.string(), expires_at: isoTime() })

/** 256 random bits in base64url: what our links and states look like. Anything else never reaches the database. */
const ourSecret = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'is not one of ours')

// Unknown parameters are ignored (Zoom may add some); a known one given twice is an array, and so refused.
export const openQuery = z.object({ session: ourSecret.optional() })

export const callbackQuery = z.object({
  state: ourSecret.optional(),
  code: z
    .string()
    .regex(/^[\x21-\x7e]{1,1024}$/, 'is not a code of Zoom')
    .optional(),
  error: z.string().max(1024).optional(),
})

export const htmlPage = z.string().meta({ description: 'A page for people' })
export const redirectAnswer = z.string().meta({ description: 'See the header Location' })
