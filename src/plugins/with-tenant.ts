import type { Prisma, PrismaClient } from '../generated/prisma/client.ts'
import { OPERATOR_ID } from '../secrets/box.ts'

/**
 * Runs `work` in a transaction that can see and write the rows of one tenant and of no other: Postgres's row-level security reads
 * the setting. It ends with the transaction, so that a pooler carries it to nobody else. Null: what is the operator's own.
 * @throws what the work throws; an error that `isDatabaseUnavailable` knows when no connection is free in time
 */
export function withTenant<T>(
  prisma: PrismaClient,
  tenantId: string | null,
  work: (tx: Prisma.TransactionClient) => Promise<T>,
): Promise<T> {
  return prisma.$transaction(async (tx) => {
    await tx.$queryRaw`SELECT set_config('app.tenant_id', ${tenantId ?? OPERATOR_ID}, true)`
    return await work(tx)
  })
}

/** Takes a tenant's id first, and perhaps null for the operator; `never`: whatever it takes after that. */
type OfTenant = (tenantId: string, ...rest: never[]) => Promise<unknown>

/**
 * A store of which each method takes the tenant's id first and runs in that tenant's own transaction. `build` gives the same store
 * on a transaction.
 */
export function perTenant<Store extends object & Record<keyof Store, OfTenant>>(
  prisma: PrismaClient,
  build: (db: Prisma.TransactionClient) => Store,
): Store {
  const names = Object.keys(build(prisma)) as (keyof Store)[]
  const inTransaction =
    (name: keyof Store) =>
    (tenantId: string, ...rest: never[]) =>
      withTenant(prisma, tenantId, (tx) => build(tx)[name](tenantId, ...rest))
  return Object.fromEntries(names.map((name) => [name, inTransaction(name)])) as Store
}
