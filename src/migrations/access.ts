import { Client } from 'pg'
import type { DeclaredStatement } from '../lib/sql.ts'
import { type ServiceUrls, settleRoles } from './roles.ts'
import { installStatements } from './statement-functions.ts'

export interface Access {
  urls: ServiceUrls
  statements: DeclaredStatement[]
}

/**
 * What the tables alone do not say: this version's statements as functions, and who may do what. As the owner of the tables;
 * everything or nothing, and as often as one likes.
 * @returns the names of the functions that are new
 */
export async function settleAccess(connectionString: string, { urls, statements }: Access): Promise<string[]> {
  const client = new Client({ connectionString })
  client.on('error', () => undefined) // the next statement reports it
  await client.connect()
  try {
    await client.query('BEGIN')
    const installed = await installStatements(client, statements)
    await settleRoles(client, urls, statements)
    await client.query('COMMIT')
    return installed
  } finally {
    await client.end().catch(() => undefined)
  }
}
