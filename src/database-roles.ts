import type { FastifyBaseLogger } from 'fastify'
import type pg from 'pg'
import { StartError } from './startup.ts'

interface Role {
  name: string
  isSuperuser: boolean
  bypassesRls: boolean
  isOwner: boolean
}

const WHO = `
  SELECT r.rolname AS name, r.rolsuper AS "isSuperuser", r.rolbypassrls AS "bypassesRls", r.oid = c.relowner AS "isOwner"
    FROM pg_roles r, pg_class c WHERE r.rolname = current_user AND c.oid = to_regclass('hosts')`

export interface RoleCheckDeps {
  /** By the variable that their URL is in. */
  pools: Record<'DATABASE_URL' | 'DATABASE_MINT_URL', pg.Pool>
  isProduction: boolean
  log: Pick<FastifyBaseLogger, 'warn'>
}

/**
 * Whether row-level security binds the roles that the service connects as. Postgres lets superusers and roles with BYPASSRLS see every
 * row whatever a table says. @throws StartError in production, naming the variable and what to do
 */
export async function checkRoles({ pools, isProduction, log }: RoleCheckDeps): Promise<void> {
  for (const [variable, pool] of Object.entries(pools)) {
    const { rows } = await pool.query<Role>(WHO)
    const [role] = rows
    if (!role) continue // no table yet: whoever migrates first is asked at the next start
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
