import { z } from 'zod'
import { isoTime, objectId, pageOf, pageQuery, timestamp } from '../../plugins/responses.ts'

const filters = {
  ...pageQuery,
  actor: z
    .string()
    .regex(/^[a-z]{1,20}(:[0-9a-f-]{36})?$/, 'must be operator, key:<id>, zoom, cli, job or anonymous')
    .optional(),
  action: z
    .string()
    .regex(/^[A-Za-z_.]{1,100}$/, 'must be an action of the trail')
    .optional(),
  subject_id: z
    .string()
    .toLowerCase()
    .regex(/^[0-9a-f-]{9,36}$/, 'must be an id or a meeting number')
    .optional(),
  outcome: z
    .string()
    .regex(/^[a-z_]{1,50}$/, 'must be done, replayed, unknown or an error code')
    .optional(),
  since: timestamp().optional(),
  until: timestamp().optional(),
  /** `ndjson`: as JSON lines; so does `Accept: application/x-ndjson`. */
  format: z.enum(['json', 'ndjson']).optional(),
}

export const auditQuery = z.object(filters)
export const operatorAuditQuery = z.object({ ...filters, tenant_id: objectId().optional() })

const line = z.object({
  id: z.string(),
  at: isoTime(),
  tenant_id: z.string().nullable(),
  actor: z.string(),
  action: z.string(),
  subject_ids: z.array(z.string()),
  request_id: z.string().nullable(),
  address: z.string().nullable(),
  outcome: z.string(),
  status: z.int().nullable(),
  count: z.int(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
})

export const auditResponse = pageOf(line)
