import { z } from 'zod'

const bytes = z
  .number()
  .int()
  .positive()
  .max(1024 ** 3)
const httpStatus = z.number().int().min(200).max(599)
const headers = z.record(z.string(), z.string())

/** What the client sees in place of, or around, Zoom's answer. */
const faultAction = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('status'),
    status: httpStatus,
    body: z.unknown().optional(),
    headers: headers.optional(),
  }),
  z.strictObject({ type: z.literal('zoom_error'), code: z.number().int(), status: httpStatus.optional() }),
  z.strictObject({ type: z.literal('hang'), stage: z.enum(['before_headers', 'after_headers']).optional() }),
  z.strictObject({ type: z.literal('hold') }),
  z.strictObject({ type: z.literal('delay'), ms: z.number().nonnegative() }),
  z.strictObject({ type: z.literal('drip'), intervalMs: z.number().positive() }),
  z.strictObject({ type: z.literal('cut'), chunked: z.boolean().optional() }),
  z.strictObject({ type: z.literal('reset') }),
  z.strictObject({ type: z.literal('html'), status: httpStatus.optional() }),
  z.strictObject({ type: z.literal('oversized'), bytes: bytes.optional() }),
  z.strictObject({ type: z.literal('gzip_bomb'), bytes: bytes.optional() }),
  z.strictObject({ type: z.literal('redirect'), status: z.number().int().min(300).max(399), location: z.string() }),
  z.strictObject({
    type: z.literal('body'),
    body: z.unknown(),
    status: httpStatus.optional(),
    headers: headers.optional(),
  }),
  z.strictObject({ type: z.literal('omit'), field: z.string().min(1) }),
  z.strictObject({ type: z.literal('set'), fields: z.record(z.string(), z.unknown()) }),
  z.strictObject({ type: z.literal('informational'), status: z.union([z.literal(100), z.literal(103)]) }),
  z.strictObject({ type: z.literal('many_headers'), count: z.number().int().positive().max(5000) }),
])

function isPathPattern(path: string): boolean {
  if (!path.startsWith('^')) return path.startsWith('/')
  try {
    new RegExp(path)
    return true
  } catch {
    return false
  }
}

/** A fault: which requests, how many of them, what happens, and whether Zoom's own work happens before, after or never. */
export const faultInput = z.strictObject({
  match: z
    .strictObject({
      method: z.string().optional(),
      path: z
        .string()
        .refine(isPathPattern, 'expected a prefix that starts with / or a regular expression that starts with ^')
        .optional(),
      user_id: z.string().optional(),
      client_id: z.string().optional(),
      grant_type: z.string().optional(),
    })
    .optional(),
  times: z.union([z.literal(-1), z.number().int().positive()]).optional(),
  skip: z.number().int().nonnegative().optional(),
  effect: z.enum(['before', 'after', 'never']).optional(),
  action: faultAction,
})

export type FaultAction = z.infer<typeof faultAction>
export type FaultInput = z.input<typeof faultInput>
export type FaultEffect = 'before' | 'after' | 'never'
