import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import * as z from 'zod'
import type { SpentGeneration } from '../grants/doctor.ts'

const line = z.object({
  time: z.iso.datetime(),
  message: z.literal('a refresh ended'),
  outcome: z.literal('ok'),
  grant_id: z.uuid(),
  gen: z.int().nonnegative(),
})

/**
 * The last refresh of each grant that a service log tells of: the one record of rotations that a restore of the database does
 * not take back. `-` reads standard input. Lines of any other kind are passed over.
 * @throws the error of the file system where the file cannot be read
 */
export async function readRefreshLog(file: string): Promise<SpentGeneration[]> {
  const latest = new Map<string, SpentGeneration>()
  const input = file === '-' ? process.stdin : createReadStream(file, 'utf8')
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    const found = text.includes('a refresh ended') ? line.safeParse(parsed(text)).data : undefined
    if (!found) continue
    const known = latest.get(found.grant_id)
    if (!known || known.gen < found.gen)
      latest.set(found.grant_id, { grantId: found.grant_id, gen: found.gen, at: found.time })
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
