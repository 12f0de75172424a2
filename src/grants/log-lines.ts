/**
 * The lines that `latchkey grants doctor --log` reads: the one record of what was spent that a restore does not take back.
 * Their fields `grant_id`, `gen` (the generation that is dead since) and `stored_at` are relied on.
 */
export const REFRESHED = 'a refresh ended'
export const AUTHORISED = 'an authorisation was stored'

/** The database's own time, which the log line must not replace by this machine's. */
export const isoTime = (seconds: number): string => new Date(seconds * 1000).toISOString()
