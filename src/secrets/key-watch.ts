import type { FastifyBaseLogger } from 'fastify'
import type { KeyProvider } from '../lib/sealing.ts'
import { type Sql, statement } from '../lib/sql.ts'

/** Keys that data keys are wrapped under and that are not in $1. By the check values, so that no table is read through. */
const MISSING = statement(
  'key_watch_missing',
  `SELECT kid FROM encryption_key_checks c
    WHERE kid <> ALL ($1::text[]) AND EXISTS (SELECT FROM data_keys d WHERE d.kid = c.kid) ORDER BY kid`,
)

/**
 * Start refuses while a key in use is missing; this is for the process that was started before the key came into use: rotated
 * to before every replica had it.
 */
export function createKeyWatch({ sql, keyring, log }: { sql: Sql; keyring: KeyProvider; log: FastifyBaseLogger }) {
  const told = new Set<string>()
  return {
    /** Raises one alarm for each key that has come to be missing. @throws store_unavailable */
    async look(): Promise<void> {
      const missing = (await sql.rows<{ kid: string }>(MISSING, [keyring.kids()])).map(({ kid }) => kid)
      for (const kid of missing)
        if (!told.has(kid)) log.error({ kid }, 'data keys are wrapped under a key that this process was not given')
      told.clear()
      for (const kid of missing) told.add(kid)
    },
  }
}
