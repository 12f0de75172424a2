const MAX_SECONDS = 60
const SECONDS = /^[0-9]{1,9}$/
const HTTP_DATE = /^[A-Za-z]{3,9}, ?[0-9]{2}[ -][A-Za-z]{3}[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT$/
const ISO_DATE_TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,16}(?:Z|[+-][0-9]{2}:?[0-9]{2})$/

/**
 * Whole seconds to wait after a 429, 1 to 60 or what else is given as the most: Zoom writes seconds, an HTTP date, or (daily limit) an ISO date-time, which may lie
 * hours ahead. Absent, negative or unreadable counts as 1.
 * @see https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
 */
export function retryAfterSeconds(
  headers: Record<string, string>,
  nowMs: number = Date.now(),
  mostSeconds: number = MAX_SECONDS,
): number {
  const text = headers['retry-after']?.trim() ?? ''
  const seconds = SECONDS.test(text) ? Number(text) : secondsUntil(text, nowMs)
  return Math.min(mostSeconds, Math.max(1, Math.ceil(seconds)))
}

function secondsUntil(text: string, nowMs: number): number {
  // Date.parse alone reads dates into almost anything, "-5" included
  if (!HTTP_DATE.test(text) && !ISO_DATE_TIME.test(text)) return 1
  const atMs = Date.parse(text)
  return Number.isNaN(atMs) ? 1 : (atMs - nowMs) / 1000
}
