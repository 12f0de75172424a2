import type { FastifyBaseLogger } from 'fastify'
import type pg from 'pg'
import { IS_CALLABLE } from './migrations/pending.ts'
import { StartError } from './startup.ts'

interface Role {
  name: string
  isSuperuser: boolean
  bypassesRls: boolean
  /** Or a member of the owner, who may do all that the owner may. */
  isOwner: boolean
  /** Of the functions given, what this role may not call. */
  lacking: string[]
}

const WHO = `
  SELECT r.rolname AS name, r.rolsuper AS "isSuperuser", r.rolbypassrls AS "bypassesRls",
         COALESCE((SELECT pg_has_role(c.relowner, 'MEMBER') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = 'public' AND c.relname = 'tenants'), false) AS "isOwner",
         ARRAY(SELECT f FROM unnest($1::text[]) AS f
                WHERE NOT EXISTS (SELECT FROM pg_proc WHERE proname = f AND ${IS_CALLABLE})) AS lacking
    FROM pg_roles r WHERE r.rolname = current_user`

export interface RoleCheckDeps {
  /** By the variable that their URL is in. */
  pools: Record<'DATABASE_URL' | 'DATABASE_MINT_URL', pg.Pool>
  /** What the minting path calls; either role does. */
  mintFunctions: string[]
  isProduction: boolean
  log: Pick<FastifyBaseLogger, 'warn'>
}

/**
 * Whether row-level security binds the roles that the service connects as, and whether they may call what they must. Postgres lets
 * superusers and roles with BYPASSRLS see every row whatever a table says.
 * @throws StartError naming the variable and what to do: in production for such a role, always for one without its functions
 */
export async function checkRoles({ pools, mintFunctions, isProduction, log }: RoleCheckDeps): Promise<void> {
  for (const [variable, pool] of Object.entries(pools)) {
    const { rows } = await pool.query<Role>(WHO, [mintFunctions])
    const [role] = rows
    if (!role) throw new StartError(`${variable}: the database does not say who it takes us for.`)
    if (role.lacking.length > 0)
      throw new StartError(
        `${variable} connects as ${role.name}, which may not call ${role.lacking[0]} and others. ` +
          'Run npm run db:migrate (latchkey migrate) with this URL: it gives the role its rights.',
      )
    if (role.isSuperuser || role.bypassesRls) {
      const what = role.isSuperuser ? 'a superuser' : 'a role with BYPASSRLS'
      if (isProduction)
        throw new StartError(
          `${variable} connects as ${role.name}, ${what}: nothing would keep one tenant's rows from another. Give the service a role of ` +
            'its own (docs/docker.md) and keep this one for administration.',
        )
      log.warn({ role: role.name, variable }, 'the database role passes row-level security; production refuses it')
    } else if (role.isOwner && isProduction)
      log.warn(
        { role: role.name, variable },
        'the service connects as the owner of its tables; give it a role of its own',
      )
  }
}
