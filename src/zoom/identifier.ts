import * as z from 'zod'

/** A user's or an account's id as Zoom writes it: opaque, printable, and short. */
export const identifier = z.string().regex(/^[\x21-\x7e]{1,128}$/)
