import { SEES_TENANTS } from './default-tenant.ts'
import type { KeyProvider } from './lib/sealing.ts'
import { type Sql, statement } from './lib/sql.ts'
import { isSwapped, type KeyCheck, makeKeyCheck } from './secrets/key-checks.ts'

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
const INSTALLATION = statement(
  'startup_installation',
  `SELECT (SELECT installation_id FROM installations) AS "installationId", ${SEES_TENANTS} AS "seesTenants"`,
)
const ADOPT = statement('startup_adopt', `UPDATE installations SET installation_id = $1, first_used_at = now()`)
const KEEP_CHECK = statement(
  'startup_keep_check',
  `INSERT INTO encryption_key_checks (kid, sealed) VALUES ($1, $2) ON CONFLICT (kid) DO NOTHING`,
)

interface State {
  installationId: string | null
  checks: KeyCheck[]
  usedKids: string[]
}

async function compareKeys(keyring: KeyProvider, { checks, usedKids }: State): Promise<void> {
  const known = new Set(keyring.kids())
  const missing = usedKids.filter((kid) => !known.has(kid))
  if (missing.length > 0)
    throw new StartError(
      `ENCRYPTION_KEYS lacks ${missing.join(', ')}, which data keys in this database are wrapped under`,
    )
  for (const check of checks)
    if (await isSwapped(keyring, check))
      throw new StartError(`ENCRYPTION_KEYS: the key ${check.kid} is not the one this database was written with`)
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
  async function readState(): Promise<State> {
    const [state] = await sql.rows<State>(STATE, [])
    if (!state) throw new StartError('the database gave no answer to its first question')
    return state
  }
  /**
   * Compares our keys with those that the database was written with, and notes those that are new to it, the first and the
   * others: a key that is mistyped in one place is then refused before anything is wrapped under it.
   * @throws StartError naming a missing or swapped key; store_unavailable
   */
  async function checkKeys(): Promise<State> {
    const state = await readState()
    await compareKeys(keyring, state)
    const fresh = keyring.kids().filter((kid) => !state.checks.some((check) => check.kid === kid))
    if (fresh.length === 0) return state
    for (const kid of fresh) await sql.rows(KEEP_CHECK, [kid, await makeKeyCheck(keyring, kid)])
    const now = await readState() // somebody else may have noted another key under the same id just before us
    await compareKeys(keyring, now)
    return now
  }
  return {
    checkKeys,
    /** @throws StartError for a missing or swapped encryption key; store_unavailable */
    async check(): Promise<void> {
      const state = await checkKeys()
      if (state.installationId === null) await sql.rows(CLAIM, [installationId])
      await this.refresh()
    },
    /**
     * Reads again whose database this is, and whether its tenants can be seen; doubles as the question whether it can be reached.
     * @throws StartError where row-level security hides every tenant; store_unavailable
     */
    async refresh(): Promise<void> {
      type Row = { installationId: string | null; seesTenants: boolean }
      const [row] = await sql.rows<Row>(INSTALLATION, [])
      if (row && !row.seesTenants)
        throw new StartError(
          'Row-level security hides every tenant from the functions: their owner is not the one that the policies name. ' +
            'Run npm run db:migrate (latchkey migrate) as the owner of the tables.',
        )
      isForeign = row !== undefined && row.installationId !== null && row.installationId !== installationId
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
