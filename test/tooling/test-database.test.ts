import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { createTestDatabase } from '../helpers/database.ts'

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString })
  client.on('error', () => undefined)
  await client.connect()
  onTestFinished(() => client.end().catch(() => undefined))
  return client
}

test('a test database is migrated, and its own: what one writes the other does not see', async () => {
  const databases = await Promise.all([createTestDatabase(), createTestDatabase()])
  for (const database of databases) onTestFinished(() => database.drop())
  const [one, two] = await Promise.all(databases.map(({ ownerUrl }) => connect(ownerUrl)))
  await one?.query(`INSERT INTO schema_compatibility VALUES ('x', now())`)
  const counts = [one, two].map((client) =>
    client?.query(`SELECT FROM schema_compatibility WHERE migration_name = 'x'`),
  )
  expect((await Promise.all(counts)).map((result) => result?.rowCount)).toEqual([1, 0])
})

test('the role of a test database owns it and is no superuser', async () => {
  const database = await createTestDatabase()
  onTestFinished(() => database.drop())
  const client = await connect(database.ownerUrl)
  const { rows } = await client.query(`
    SELECT rolsuper AS "isSuperuser", rolname = pg_get_userbyid(datdba) AS "isOwner"
    FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()`)
  expect(rows).toEqual([{ isSuperuser: process.env.DATABASE_TEST_URL ? expect.any(Boolean) : false, isOwner: true }])
})

test('dropping a test database cuts off what is still connected to it', async () => {
  const database = await createTestDatabase()
  const client = await connect(database.ownerUrl)
  await database.drop()
  await expect(client.query('SELECT 1')).rejects.toThrow()
  await expect(connect(database.ownerUrl)).rejects.toThrow('does not exist')
})
