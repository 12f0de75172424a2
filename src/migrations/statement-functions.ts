import { type Client, escapeIdentifier } from 'pg'
import { type DeclaredStatement, FUNCTION_SCHEMA } from '../lib/sql.ts'
import { type Described, describe } from './describe.ts'

// Long enough for a rollback, and for the replicas of a rolling upgrade, which call the functions of the version before.
const SUPERSEDED_FOR = '30 days'

/** Each over all tenants: the statement names its tenant itself, and before it is known there is none to set (ADR 0023). */
function definitionOf({ name, body }: DeclaredStatement, parameters: string[], columns: string[] | null): string {
  const returns = columns ? `TABLE (${columns.join(', ')})` : 'SETOF void'
  return `
    CREATE FUNCTION ${FUNCTION_SCHEMA}.${name}(${parameters.join(', ')}) RETURNS ${returns}
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $latchkey$
    #variable_conflict use_column
    BEGIN
      PERFORM set_config('app.across_tenants', 'on', true);
      ${columns ? 'RETURN QUERY' : ''} ${body}
      ;
      PERFORM set_config('app.across_tenants', '', true);
    END $latchkey$`
}

async function namesOfTypes(client: Client, oids: number[]): Promise<Map<number, string>> {
  const { rows } = await client.query<{ oid: number; name: string }>(
    'SELECT oid::int, format_type(oid, NULL) AS name FROM unnest($1::oid[]) AS oid',
    [[...new Set(oids)]],
  )
  return new Map(rows.map(({ oid, name }) => [oid, name]))
}

async function create(client: Client, statement: DeclaredStatement, { parameters, columns }: Described): Promise<void> {
  const names = await namesOfTypes(client, [...parameters, ...(columns ?? []).map(({ type }) => type)])
  const typeOf = (oid: number) => names.get(oid) ?? 'text'
  const definition = definitionOf(
    statement,
    parameters.map(typeOf),
    columns?.map(({ name, type }) => `${escapeIdentifier(name)} ${typeOf(type)}`) ?? null,
  )
  try {
    await client.query(definition)
  } catch (cause) {
    throw new Error(`The statement ${statement.name} cannot be a function`, { cause })
  }
}

const KNOWN = `
  SELECT p.proname AS name, COALESCE(p.proallargtypes, p.proargtypes::oid[])::int[] AS types, obj_description(p.oid, 'pg_proc') AS superseded,
         obj_description(p.oid, 'pg_proc')::timestamptz < now() - interval '${SUPERSEDED_FOR}' AS "isOld"
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = '${FUNCTION_SCHEMA}'`

interface Known {
  name: string
  /** Of its parameters and columns. */
  types: number[]
  superseded: string | null
  isOld: boolean | null
}

async function retire(client: Client, { name, superseded, isOld }: Known, isWanted: boolean): Promise<void> {
  const ofFunction = `FUNCTION ${FUNCTION_SCHEMA}.${name}`
  if (isWanted && superseded) await client.query(`COMMENT ON ${ofFunction} IS NULL`)
  if (!isWanted && !superseded) await client.query(`COMMENT ON ${ofFunction} IS '${new Date().toISOString()}'`)
  if (!isWanted && isOld) await client.query(`DROP ${ofFunction}`)
}

/**
 * Makes the functions that this version's statements call and the database has not, and anew those whose columns have another type since.
 * Those that no version of the last 30 days has asked for go; what a function does never changes, since its name says what is in it.
 * @returns the names of the new ones
 */
export async function installStatements(client: Client, statements: DeclaredStatement[]): Promise<string[]> {
  await client.query(`CREATE SCHEMA IF NOT EXISTS ${FUNCTION_SCHEMA}`)
  const { rows } = await client.query<Known>(KNOWN)
  const known = new Map(rows.map((row) => [row.name, row]))
  const made: string[] = []
  for (const statement of statements) {
    const described = await describe(client, statement.body)
    const types = [...described.parameters, ...(described.columns ?? []).map(({ type }) => type)]
    const former = known.get(statement.name)
    if (former && former.types.join() === types.join()) continue
    if (former) await client.query(`DROP FUNCTION ${FUNCTION_SCHEMA}.${statement.name}`)
    await create(client, statement, described)
    made.push(statement.name)
  }
  const wanted = new Set(statements.map(({ name }) => name))
  for (const row of rows) await retire(client, row, wanted.has(row.name))
  return made
}
