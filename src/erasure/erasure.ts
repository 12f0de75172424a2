import { HOLDS_PERSON, NO_PERSON } from '../grants/person.ts'
import { inParts } from '../lib/in-parts.ts'
import { type Sql, type Statement, statement } from '../lib/sql.ts'
import {
  CHECKS,
  type Check,
  HAS_NO_OWNER,
  HAS_NO_TENANT,
  IS_OF_LEFT_ACCOUNT,
  OF_HOST,
  OF_TENANT,
  TABLES,
} from './checks.ts'

/** Something that should be gone. Ids only, never what the rows hold. */
export interface Finding {
  what: string
  table: string
  count: number
  /** Some of them. */
  ids: string[]
}

/** Deleted, or never there: nothing of it may be left. */
export interface ErasedIds {
  tenantId?: string | undefined
  hostId?: string | undefined
}

export interface Swept {
  dataKeys: number
  answers: number
  persons: number
  accountUsers: number
  rowsOfGoneTenants: number
}

const SWEEP_KEYS = statement('erasure_sweep_keys', `DELETE FROM data_keys d WHERE ${HAS_NO_OWNER} RETURNING 1`)
const SWEEP_ANSWERS = statement(
  'erasure_sweep_answers',
  `DELETE FROM idempotency_keys k WHERE ${HAS_NO_TENANT} RETURNING 1`,
)
/** What a connect flow wrote of the person after the grant was let go under it. */
const SWEEP_PERSONS = statement(
  'erasure_sweep_persons',
  `UPDATE grants g SET ${NO_PERSON} FROM grant_tokens t
    WHERE t.grant_id = g.id AND t.status = 'disconnected' AND ${HOLDS_PERSON}
   RETURNING 1`,
)
/** Read while the last organization of the account, or the admin, went. */
const SWEEP_ACCOUNT_USERS = statement(
  'erasure_sweep_account_users',
  `DELETE FROM account_users u WHERE ${IS_OF_LEFT_ACCOUNT} RETURNING 1`,
)

const DELETED_AT_ONCE = 1000

/** Proves that what was to go is gone, and clears what a crash or a race left of tenants and grants that are no more. */
export function createErasure(sql: Sql) {
  async function run({ what, table, statement }: Check, values: string[]): Promise<Finding[]> {
    const [found] = await sql.rows<{ count: number; ids: string[] }>(statement, values)
    return found && found.count > 0 ? [{ what, table, ...found }] : []
  }
  async function runAll(checks: Check[], values: string[] = []): Promise<Finding[]> {
    const findings: Finding[] = []
    for (const check of checks) findings.push(...(await run(check, values)))
    return findings
  }
  async function rowsOfGoneTenants(): Promise<Finding[]> {
    const findings: Finding[] = []
    for (const { table, goneTenants } of TABLES) {
      const gone = (await sql.rows<{ id: string }>(goneTenants, [])).map(({ id }) => id)
      if (gone.length > 0)
        findings.push({
          what: 'tenants that are gone and still have rows here',
          table,
          count: gone.length,
          ids: gone.slice(0, 5),
        })
    }
    return findings
  }
  const removeOf = (remove: Statement, tenantId: string): Promise<number> =>
    inParts(DELETED_AT_ONCE, null, async (limit) => (await sql.rows(remove, [tenantId, limit])).length)
  const changed = async (of: typeof SWEEP_KEYS) => (await sql.rows(of, [])).length

  return {
    /**
     * Everything in the database that should be gone by now and is not; in particular of a tenant or host that was deleted.
     * Reads only. @throws store_unavailable
     */
    async verifyAcrossTenants({ tenantId, hostId }: ErasedIds = {}): Promise<Finding[]> {
      return [
        ...(await runAll(CHECKS)),
        ...(await rowsOfGoneTenants()),
        ...(tenantId ? await runAll([...OF_TENANT, ...TABLES.map(({ left }) => left)], [tenantId]) : []),
        ...(hostId ? await runAll(OF_HOST, [hostId]) : []),
      ]
    },
    /**
     * Deletes what no owner is left for: it was written while its tenant or grant went, or a crash came in between. An owner's id
     * never comes again, so nothing that is alive can be met. @throws store_unavailable
     */
    async sweepAcrossTenants(signal?: AbortSignal): Promise<Swept> {
      const swept: Swept = {
        persons: await changed(SWEEP_PERSONS),
        accountUsers: await changed(SWEEP_ACCOUNT_USERS),
        answers: await changed(SWEEP_ANSWERS),
        dataKeys: await changed(SWEEP_KEYS),
        rowsOfGoneTenants: 0,
      }
      for (const { goneTenants, remove } of TABLES)
        for (const { id } of await sql.rows<{ id: string }>(goneTenants, [])) {
          if (signal?.aborted) return swept
          swept.rowsOfGoneTenants += await removeOf(remove, id)
        }
      return swept
    },
  }
}
