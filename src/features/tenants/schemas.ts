import { z } from 'zod'
import { isUuid } from '../../lib/ids.ts'
import { isoTime, objectId, pageOf, pageQuery, plainText } from '../../plugins/responses.ts'

const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

// what a return_url can have: https, or http on loopback (which production then refuses at the session)
const ORIGIN = /^(https:\/\/[a-z0-9.-]+|http:\/\/(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?$/

const origin = z
  .string()
  .max(300)
  .refine(
    (value) => ORIGIN.test(value) && URL.canParse(value) && new URL(value).origin === value,
    'must be an origin such as https://app.example.com',
  )

export const tenantParams = z.object({ id: objectId() })

export const createTenantBody = z.strictObject({
  name: plainText(200),
  slug: z
    .string()
    .regex(SLUG, 'must be lower-case letters, digits and hyphens')
    .refine((slug) => !isUuid(slug), 'must not look like an id')
    .optional(),
  return_url_origins: z.array(origin).max(50).default([]),
})

export const updateTenantBody = z.strictObject({
  name: plainText(200).optional(),
  return_url_origins: z.array(origin).max(50).optional(),
})

export const listTenantsQuery = z.object(pageQuery)

export const tenantResponse = z.object({
  id: z.uuid(),
  slug: z.string(),
  name: z.string(),
  return_url_origins: z.array(z.string()),
  created_at: isoTime(),
})

export const tenantsResponse = pageOf(tenantResponse)
