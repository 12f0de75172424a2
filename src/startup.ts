import { randomBytes } from 'node:crypto'
import type { KeyProvider } from './lib/sealing.ts'
import { type Sql, statement } from './lib/sql.ts'

/** Why the service will not start although its environment is well-formed. Names what to do, holds no value. */
export class StartError extends Error {
  override readonly name = 'StartError'
}

const STATE = statement(
  'startup_state',
  `SELECT (SELECT installation_id FROM installations) AS "installationId",
          COALESCE((SELECT json_agg(json_build_object('kid', kid, 'sealed', encode(sealed, 'base64')))
                      FROM encryption_key_checks), '[]') AS checks,
          COALESCE((SELECT json_agg(DISTINCT kid) FROM data_keys), '[]') AS "usedKids"`,
)
const CLAIM = statement(
  'startup_claim',
  `INSERT INTO installations (singleton, installation_id) VALUES (true, $1) ON CONFLICT (singleton) DO NOTHING`,
)
const INSTALLATION = statement('startup_installation', `SELECT installation_id AS "installationId" FROM installations`)
const ADOPT = statement('startup_adopt', `UPDATE installations SET installation_id = $1, first_used_at = now()`)
const KEEP_CHECK = statement(
  'startup_keep_check',
  `INSERT INTO encryption_key_checks (kid, sealed) VALUES ($1, $2) ON CONFLICT (kid) DO NOTHING`,
)

interface State {
  installationId: string | null
  checks: { kid: string; sealed: string }[]
  usedKids: string[]
}

// binds the check value to its purpose: it opens as nothing else
const CHECK_AAD = Buffer.from('latchkey/encryption-key-check')

async function checkKeys(keyring: KeyProvider, { checks, usedKids }: State): Promise<void> {
  const known = new Set(keyring.kids())
  const missing = usedKids.filter((kid) => !known.has(kid))
  if (missing.length > 0)
    throw new StartError(
      `ENCRYPTION_KEYS lacks ${missing.join(', ')}, which data keys in this database are wrapped under`,
    )
  for (const { kid, sealed } of checks) {
    if (!known.has(kid)) continue
    await keyring.unwrap(kid, Buffer.from(sealed, 'base64'), CHECK_AAD).catch(() => {
      throw new StartError(`ENCRYPTION_KEYS: the key ${kid} is not the one this database was written with`)
    })
  }
}

/** Whose database this is, and whether our keys are the ones it was written with. */
export function createInstallation({
  sql,
  keyring,
  installationId,
}: {
  sql: Sql
  keyring: KeyProvider
  installationId: string
}) {
  let isForeign = false
  return {
    /** @throws StartError for a missing or swapped encryption key; store_unavailable */
    async check(): Promise<void> {
      const [state] = await sql.rows<State>(STATE, [])
      if (!state) throw new StartError('the database gave no answer to its first question')
      await checkKeys(keyring, state)
      const kid = keyring.currentKid
      if (!state.checks.some((check) => check.kid === kid)) {
        const { wrapped } = await keyring.wrap(randomBytes(32), CHECK_AAD)
        await sql.rows(KEEP_CHECK, [kid, wrapped])
      }
      if (state.installationId === null) await sql.rows(CLAIM, [installationId])
      await this.refresh()
    },
    /** Reads again whose database this is; doubles as the question whether it can be reached. @throws store_unavailable */
    async refresh(): Promise<void> {
      const [row] = await sql.rows<{ installationId: string }>(INSTALLATION, [])
      isForeign = row !== undefined && row.installationId !== installationId
    },
    /** A copy of another installation's database: nothing that Zoom would notice may be spent. */
    isForeign: () => isForeign,
    /** Takes a copied database over on purpose. */
    async adopt(): Promise<void> {
      await sql.rows(ADOPT, [installationId])
      isForeign = false
    },
  }
}
