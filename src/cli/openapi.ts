import { buildApp } from '../app.ts'

// nothing is connected to: the document depends on the code alone
const NOWHERE = {
  DATABASE_URL: 'postgresql://nobody@localhost/nothing',
  ENCRYPTION_KEYS: `openapi:${Buffer.alloc(32, 1).toString('base64')}`,
  OPERATOR_API_KEY: 'only-to-print-the-openapi-document',
  LOG_LEVEL: 'silent',
}

/** Prints `/openapi.json` without a database. */
export async function printOpenapi(say: (line: string) => void): Promise<void> {
  const { app } = await buildApp({ env: NOWHERE })
  await app.ready()
  say(JSON.stringify(app.swagger(), null, 2))
  await app.close()
}
