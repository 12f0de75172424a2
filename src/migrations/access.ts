import { Client } from 'pg'
import { type DeclaredStatement, FUNCTION_SCHEMA } from '../lib/sql.ts'
import { findRoles, giveRights, ME, type ServiceRoles, type ServiceUrls } from './roles.ts'
import { installStatements } from './statement-functions.ts'

export interface Access {
  urls: ServiceUrls
  statements: DeclaredStatement[]
}

async function inTransaction<T>(connectionString: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString })
  client.on('error', () => undefined) // the next statement reports it
  await client.connect()
  try {
    await client.query('BEGIN')
    await client.query('SET LOCAL search_path = public') // whatever schema is named like the role
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** Somebody else's among what is ours to change: tables with our policies or our history, the functions and their schema. */
const OWNERS = `
  SELECT DISTINCT pg_get_userbyid(owner) AS owner, current_user AS me
    FROM (SELECT c.relowner AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = 'public' AND (c.relname IN ('_prisma_migrations', 'tenants', 'data_keys', 'grant_tokens')
              OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'across_tenants'))
          UNION ALL SELECT nspowner FROM pg_namespace WHERE nspname = '${FUNCTION_SCHEMA}'
          UNION ALL SELECT p.proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                     WHERE n.nspname = '${FUNCTION_SCHEMA}') found
   WHERE pg_get_userbyid(owner) <> current_user`

async function refuseOthersTables(client: Client): Promise<void> {
  const { rows } = await client.query<{ owner: string; me: string }>(OWNERS)
  const [other] = rows
  if (other)
    throw new Error(
      `The tables or functions of this database belong to ${other.owner}, and DATABASE_MIGRATION_URL connects as ${other.me}. ` +
        `Migrate as ${other.owner}, or give all of them to ${other.me} first: REASSIGN OWNED BY, as an administrator.`,
    )
}

/** Before anything is migrated. @throws Error where the migrating role is not the owner, or a role of the service is missing */
export const prepareAccess = (connectionString: string, { urls }: Access): Promise<ServiceRoles> =>
  inTransaction(connectionString, async (client) => {
    await refuseOthersTables(client)
    return await findRoles(client, urls)
  })

/** Tables whose policy for the owner is not there, or names somebody else: they were restored, or given to another role. */
const ASTRAY = `
  SELECT c.oid::regclass::text AS name, p.oid IS NOT NULL AS "isThere"
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'across_tenants'
   WHERE n.nspname = 'public' AND c.relforcerowsecurity
     AND p.polroles IS DISTINCT FROM ARRAY[${ME}]`

/** Row-level security hides without a word: with a policy astray every tenant would look deleted. */
async function mendPolicies(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string; isThere: boolean }>(ASTRAY)
  for (const { name, isThere } of rows)
    await client.query(
      isThere
        ? `ALTER POLICY across_tenants ON ${name} TO CURRENT_USER`
        : `CREATE POLICY across_tenants ON ${name} TO CURRENT_USER USING (current_setting('app.across_tenants', true) <> '')`,
    )
}

/**
 * What the tables alone do not say: this version's statements as functions, whom the policies know as their owner, and who may do what.
 * As the owner of the tables; everything or nothing, and as often as one likes.
 * @returns the names of the functions that are new
 */
export const settleAccess = (
  connectionString: string,
  roles: ServiceRoles,
  { statements }: Access,
): Promise<string[]> =>
  inTransaction(connectionString, async (client) => {
    await mendPolicies(client)
    const installed = await installStatements(client, statements)
    await giveRights(client, roles, statements)
    return installed
  })
