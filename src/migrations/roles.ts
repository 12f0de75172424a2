import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { Client, escapeIdentifier, escapeLiteral } from 'pg'
import { type DeclaredStatement, FUNCTION_SCHEMA } from '../lib/sql.ts'

/** Where the service logs in, and so which roles are given rights. */
export interface ServiceUrls {
  /** `DATABASE_URL`: the management API, the pages and the jobs. */
  main: string
  /** `DATABASE_MINT_URL`: the minting path. */
  mint: string
}

const ALL = 'SELECT, INSERT, UPDATE, DELETE'

/**
 * What the management API's own queries touch, each bound to one tenant by row-level security. Everything else is done by functions.
 * A right that a release needs no more stays for one more: replicas of the one before run on. No token, no ciphertext of one, no data key is among it.
 */
const RIGHTS: Record<string, string> = {
  _prisma_migrations: 'SELECT',
  schema_compatibility: 'SELECT',
  tenants: ALL,
  api_keys: ALL,
  zoom_apps: ALL,
  recall_workspaces: ALL,
  recall_secrets: ALL,
  hosts: ALL,
  organizations: ALL,
  meetings: ALL,
  meeting_deletions: ALL,
  imported_tokens: 'SELECT, UPDATE',
  passes: ALL,
  connect_sessions: ALL,
  connect_flows: ALL,
  webhook_endpoints: ALL,
  idempotency_keys: ALL,
  mints: 'SELECT',
  audit_events: 'SELECT',
  grants: 'SELECT',
  grant_tokens: `SELECT (grant_id, status, status_reason, gen, access_expires_at, refreshed_at, consent_epoch, consent_reason)`,
  grant_syncs: 'SELECT',
  grant_states: 'SELECT',
  host_states: 'SELECT',
  organization_states: 'SELECT',
}

// On the roles, not in the URLs: a transaction pooler drops start-up options, but logs in as the role. The same stands in
// docker/postgres/roles.sql, which makes the roles of compose.
const SETTINGS = { statement_timeout: '5s', lock_timeout: '3s', idle_in_transaction_session_timeout: '10s' }
const CONNECT_TIMEOUT_MS = 5000
const SCRAM_ITERATIONS = 4096 // Postgres's own default

/** What Postgres keeps of a password, made here so that no statement, and no server log, holds the password. @see RFC 5803 */
function scramVerifier(password: string): string {
  const salt = randomBytes(16)
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, SCRAM_ITERATIONS, 32, 'sha256')
  const keyOf = (name: string) => createHmac('sha256', salted).update(name).digest()
  const stored = createHash('sha256').update(keyOf('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${SCRAM_ITERATIONS}:${salt.toString('base64')}$${stored}:${keyOf('Server Key').toString('base64')}`
}

/** Whom the server takes the URL's user for; null where it does not let him in. */
async function roleBehind(connectionString: string): Promise<string | null> {
  const client = new Client({ connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS })
  client.on('error', () => undefined) // the question itself reports it
  try {
    await client.connect()
    return (await client.query<{ role: string }>('SELECT current_user AS role')).rows[0]?.role ?? null
  } catch {
    return null
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** Makes the role that a URL names, with the URL's password. */
async function makeRole(client: Client, name: string, password: string): Promise<void> {
  const role = escapeIdentifier(name)
  await client.query(`CREATE ROLE ${role} LOGIN PASSWORD ${escapeLiteral(scramVerifier(password))}`)
  for (const [setting, value] of Object.entries(SETTINGS))
    await client.query(`ALTER ROLE ${role} SET ${setting} = '${value}'`)
}

const STANDING = `
  SELECT current_user AS me, EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS "isThere",
         (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) AS "mayMake"`

/**
 * The role that a URL logs in as. One that the server does not know is made, where the migrating role may make roles.
 * @throws Error saying what the administrator is to do
 */
async function settleRole(client: Client, variable: string, url: string): Promise<string> {
  const found = await roleBehind(url)
  if (found !== null) return found
  const { username, password } = new URL(url)
  const name = decodeURIComponent(username)
  const { rows } = await client.query<{ isThere: boolean; mayMake: boolean }>(STANDING, [name])
  if (rows[0]?.isThere) return name // it may be that only the service's network reaches that address
  if (!rows[0]?.mayMake || !password)
    throw new Error(
      `${variable}: the server knows no role ${name}, and the migrating role may not make it. ` +
        'Let an administrator run docker/postgres/roles.sql, or CREATE ROLE with LOGIN and that password; then migrate again.',
    )
  await makeRole(client, name, decodeURIComponent(password))
  return name
}

/** The role that asks, as an oid: a name with odd characters is no `regrole`. In SQL. */
export const ME = '(SELECT oid FROM pg_roles WHERE rolname = current_user)'

/** What the migrating role owns, since nobody else may give or take rights on the rest: somebody's own table, say. */
const OWN_RELATIONS = `
  SELECT c.oid::regclass::text AS name, c.relkind = 'S' AS "isSequence"
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname IN ('public', 'pgboss') AND c.relkind IN ('r', 'p', 'v', 'S') AND c.relowner = ${ME}`
const OWN_FUNCTIONS = `
  SELECT p.oid::regprocedure::text AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
   WHERE n.nspname IN ('public', '${FUNCTION_SCHEMA}') AND p.proowner = ${ME}`

/**
 * No table at first, so that what a former version gave is not left behind. Functions stay: those of the version before are called
 * until the last of its replicas is gone.
 */
async function takeTables(client: Client, role: string): Promise<void> {
  await client.query(`
    ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM ${role};
    ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM ${role};
    GRANT USAGE ON SCHEMA ${FUNCTION_SCHEMA} TO ${role}`)
  const { rows } = await client.query<{ name: string; isSequence: boolean }>(OWN_RELATIONS)
  const revokes = rows.map(
    ({ name, isSequence }) => `REVOKE ALL ON ${isSequence ? 'SEQUENCE' : 'TABLE'} ${name} FROM ${role}`,
  )
  await client.query(revokes.join(';'))
}

/**
 * Postgres lets everybody call a new function and make temporary tables: enough to hang one of our triggers, which run as the owner, on a
 * table of one's own. What only the database's owner may take stays where the migrating role is not.
 */
async function takeFromEverybody(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(OWN_FUNCTIONS)
  await client.query(rows.map(({ name }) => `REVOKE ALL ON FUNCTION ${name} FROM PUBLIC`).join(';'))
  const { rows: databases } = await client.query<{ name: string }>('SELECT current_database() AS name')
  const database = escapeIdentifier(String(databases[0]?.name))
  for (const revoke of [`TEMPORARY ON DATABASE ${database}`, 'CREATE ON SCHEMA public']) {
    await client.query('SAVEPOINT revoke')
    await client.query(`REVOKE ${revoke} FROM PUBLIC`).catch(() => client.query('ROLLBACK TO SAVEPOINT revoke')) // somebody else's to take
  }
}

const namesOf = (statements: DeclaredStatement[]) =>
  statements.map(({ name }) => `${FUNCTION_SCHEMA}.${name}`).join(', ')

/** The roles behind the service's URLs. */
export interface ServiceRoles {
  main: string
  mint: string
}

/** Finds, or makes, the roles. Before the tables are migrated: what fails here has changed nothing. @throws Error naming the variable */
export async function findRoles(client: Client, urls: ServiceUrls): Promise<ServiceRoles> {
  const main = await settleRole(client, 'DATABASE_URL', urls.main)
  const mint = urls.mint === urls.main ? main : await settleRole(client, 'DATABASE_MINT_URL', urls.mint)
  return { main, mint }
}

/**
 * Gives the service's roles what they need and takes the rest: the minting role may call the functions of the minting path and read no
 * table; the main role may call every function, and read and write its tables within one tenant. The owner's own rights stay.
 */
export async function giveRights(
  client: Client,
  { main, mint }: ServiceRoles,
  statements: DeclaredStatement[],
): Promise<void> {
  const me = (await client.query<{ me: string }>('SELECT current_user AS me')).rows[0]?.me
  await takeFromEverybody(client)
  for (const role of new Set([main, mint])) if (role !== me) await takeTables(client, escapeIdentifier(role))
  if (main !== me) {
    const role = escapeIdentifier(main)
    for (const [table, rights] of Object.entries(RIGHTS)) await client.query(`GRANT ${rights} ON ${table} TO ${role}`)
    await client.query(`
      GRANT USAGE ON SCHEMA public, pgboss TO ${role};
      GRANT ${ALL} ON ALL TABLES IN SCHEMA pgboss TO ${role};
      GRANT EXECUTE ON FUNCTION ${namesOf(statements)} TO ${role}`)
  }
  if (mint !== me && mint !== main) {
    const role = escapeIdentifier(mint)
    const [ofMints, others] = [statements.filter(({ mints }) => mints), statements.filter(({ mints }) => !mints)]
    await client.query(`
      REVOKE ALL ON SCHEMA pgboss FROM ${role};
      REVOKE ALL ON FUNCTION ${namesOf(others)} FROM ${role};
      GRANT EXECUTE ON FUNCTION ${namesOf(ofMints)} TO ${role}`)
  }
}
