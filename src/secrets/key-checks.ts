import { randomBytes } from 'node:crypto'
import type { KeyProvider } from '../lib/sealing.ts'

/** One value sealed under a wrapping key, in base64: it tells another key under the same id from the right one. */
export interface KeyCheck {
  kid: string
  sealed: string
}

// binds the check value to its purpose: it opens as nothing else
const CHECK_AAD = Buffer.from('latchkey/encryption-key-check')

/** A check value of one key of the ring, to be stored. */
export async function makeKeyCheck(keyring: KeyProvider, kid: string): Promise<Buffer> {
  const { wrapped } = await keyring.wrap(randomBytes(32), CHECK_AAD, kid)
  return wrapped
}

/** Whether the ring has, under this id, another key than the one that the database was written with. */
export async function isSwapped(keyring: KeyProvider, { kid, sealed }: KeyCheck): Promise<boolean> {
  if (!keyring.kids().includes(kid)) return false
  return await keyring.unwrap(kid, Buffer.from(sealed, 'base64'), CHECK_AAD).then(
    () => false,
    () => true,
  )
}
