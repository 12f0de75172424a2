import { z } from 'zod'

/** RFC 9457 body of every error. @see https://www.rfc-editor.org/rfc/rfc9457 */
const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    request_id: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem' })

/** What every route answers when it fails; spread it into `response`. */
export const errorResponses = { '4xx': problem, '5xx': problem }

/** A list's answer: the rows and where the next page starts. */
export const pageOf = <Row extends z.ZodType>(row: Row) =>
  z.object({ data: z.array(row), next_cursor: z.string().nullable() })

/** `?limit` and `?cursor` of every list. An empty cursor is none. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^[0-9]{1,3}$/, 'must be a whole number from 1 to 200')
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= 200, 'must be a whole number from 1 to 200')
    .default(50),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]{0,1000}$/, 'is not a cursor of this list')
    .optional(),
}

/** Text a person wrote: stored exactly, without control characters (Postgres refuses NUL) and lone surrogates. */
export const plainText = (maxLength: number) =>
  z
    .string()
    .min(1)
    .max(maxLength)
    .regex(/^\P{Cc}*$/u, 'must not hold control characters')
    .refine((value) => value.isWellFormed(), 'must be well-formed Unicode')
    .refine((value) => value.trim() !== '', 'must not be blank')

/** The tenant's own id of a user, as the SaaS backend writes it. */
export const externalUserId = () => plainText(200)

/** An object id in a path or body; which object it names decides only the store. */
export const objectId = () => z.uuid()

/** RFC 3339 time with an offset, given back as a Date. */
export const timestamp = () => z.iso.datetime({ offset: true }).transform((value) => new Date(value))

/** A time in an answer. */
export const isoTime = () => z.iso.datetime()

/** The body of a POST that needs none: absent (route-contract.ts), or an empty object. */
export const emptyBody = z.strictObject({})

/** A 204. */
export const noContent = z.null()
