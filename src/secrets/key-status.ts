import { type KeyProvider, SealError, unwrapDataKey, type WrappedDataKey } from '../lib/sealing.ts'
import { type Sql, statement } from '../lib/sql.ts'
import { isSwapped, type KeyCheck } from './key-checks.ts'

/**
 * `first`: wraps what is new. `in_use`: data keys are wrapped under it. `unused`: in the ring, and may be removed from it.
 * `missing`: data keys are wrapped under it, and the ring lacks it. `swapped`: the ring has another key under this id.
 * `retired`: once used, now neither in use nor in the ring.
 */
export type KeyState = 'first' | 'in_use' | 'unused' | 'missing' | 'swapped' | 'retired'

export interface KeyUse {
  kid: string
  state: KeyState
  dataKeys: number
}

/** A data key that does not open. */
export interface BrokenKey {
  id: string
  ownerId: string
  kid: string
  /** Why, without a secret. */
  reason: string
}

const USES = statement(
  'key_uses',
  `SELECT COALESCE((SELECT json_agg(json_build_object('kid', kid, 'dataKeys', n))
                      FROM (SELECT kid, count(*)::int AS n FROM data_keys GROUP BY kid) u), '[]') AS uses,
          COALESCE((SELECT json_agg(json_build_object('kid', kid, 'sealed', encode(sealed, 'base64')) ORDER BY kid)
                      FROM encryption_key_checks), '[]') AS checks`,
)
const PAGE = statement(
  'key_page',
  `SELECT id, owner_id AS "ownerId", kid, wrapped FROM data_keys WHERE id > $1 ORDER BY id LIMIT $2`,
)
const FORGET = statement(
  'key_forget',
  `DELETE FROM encryption_key_checks c WHERE kid = $1 AND NOT EXISTS (SELECT FROM data_keys d WHERE d.kid = c.kid)
   RETURNING kid`,
)

const PAGE_ROWS = 1000
export const BEFORE_ALL = '00000000-0000-0000-0000-000000000000'

/** What is wrong with a data key, or null. @throws what is no fault of the key */
export const brokenOr = (stored: WrappedDataKey, error: unknown): BrokenKey => {
  if (!(error instanceof SealError)) throw error
  const { id, ownerId, kid } = stored
  return { id, ownerId, kid, reason: error.message }
}

/** Reads which keys of `ENCRYPTION_KEYS` this database needs. */
export function createKeyStatus({ sql, keyring }: { sql: Sql; keyring: KeyProvider }) {
  const ring = keyring.kids()

  async function stateOf(kid: string, dataKeys: number, check: KeyCheck | undefined): Promise<KeyState> {
    if (!ring.includes(kid)) return dataKeys > 0 ? 'missing' : 'retired'
    if (check && (await isSwapped(keyring, check))) return 'swapped'
    if (kid === keyring.currentKid) return 'first'
    return dataKeys > 0 ? 'in_use' : 'unused'
  }

  return {
    /** Every key of the ring in its order, then those that the database knows beside them. @throws store_unavailable */
    async read(): Promise<KeyUse[]> {
      const [found] = await sql.rows<{ uses: { kid: string; dataKeys: number }[]; checks: KeyCheck[] }>(USES, [])
      const { uses, checks } = found ?? { uses: [], checks: [] }
      const kids = new Set([...ring, ...uses.map(({ kid }) => kid), ...checks.map(({ kid }) => kid)])
      const rows = [...kids].map(async (kid) => {
        const dataKeys = uses.find((use) => use.kid === kid)?.dataKeys ?? 0
        const check = checks.find((each) => each.kid === kid)
        return { kid, dataKeys, state: await stateOf(kid, dataKeys, check) }
      })
      return await Promise.all(rows)
    },
    /** Unwraps every data key; gives how many there are and those that do not open. @throws store_unavailable */
    async verify(): Promise<{ dataKeys: number; broken: BrokenKey[] }> {
      const broken: BrokenKey[] = []
      let dataKeys = 0
      for (let after = BEFORE_ALL; ; ) {
        const page = await sql.rows<WrappedDataKey>(PAGE, [after, PAGE_ROWS])
        for (const stored of page)
          await unwrapDataKey(keyring, stored).catch((error: unknown) => broken.push(brokenOr(stored, error)))
        dataKeys += page.length
        const last = page.at(-1)
        if (!last) return { dataKeys, broken }
        after = last.id
      }
    },
    /**
     * Forgets a key id that was first set with a wrong value, so that the right one may take it. False where data keys are
     * wrapped under it, or where it is not known. @throws store_unavailable
     */
    async forget(kid: string): Promise<boolean> {
      return (await sql.rows(FORGET, [kid])).length > 0
    },
  }
}
