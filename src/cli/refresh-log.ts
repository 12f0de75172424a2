import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import * as z from 'zod'
import type { SpentGeneration } from '../grants/doctor.ts'
import { AUTHORISED, REFRESHED } from '../grants/log-lines.ts'

const common = { stored_at: z.iso.datetime(), grant_id: z.uuid(), gen: z.int().nonnegative() }
const line = z.union([
  z.object({ message: z.literal(REFRESHED), outcome: z.literal('ok'), ...common }),
  z.object({ message: z.literal(AUTHORISED), ...common }),
])

/**
 * The last rotation of each grant that a service log tells of, or its last authorisation: the one record of them that a restore
 * of the database does not take back. `-` reads standard input. Lines of any other kind are passed over.
 * @throws the error of the file system where the file cannot be read
 */
export async function readRefreshLog(file: string): Promise<SpentGeneration[]> {
  const latest = new Map<string, SpentGeneration>()
  const input = file === '-' ? process.stdin : createReadStream(file, 'utf8')
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    const isOurs = text.includes(REFRESHED) || text.includes(AUTHORISED)
    const found = isOurs ? line.safeParse(parsed(text)).data : undefined
    if (!found) continue
    // by time: after an earlier restore the generations began again at a lower number
    const known = latest.get(found.grant_id)
    if (!known || Date.parse(known.at) < Date.parse(found.stored_at))
      latest.set(found.grant_id, { grantId: found.grant_id, gen: found.gen, at: found.stored_at })
  }
  return [...latest.values()]
}

/** Collectors put a prefix before the JSON: it is taken from the first brace on. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text.slice(text.indexOf('{')))
  } catch {
    return null
  }
}
