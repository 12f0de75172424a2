import type { RotationResult } from '../secrets/key-rotation.ts'
import type { BrokenKey, KeyState, KeyUse } from '../secrets/key-status.ts'
import { recorded } from './recorded.ts'
import { type Env, type Say, withServices } from './with-services.ts'

export interface StatusOptions {
  /** Unwraps every data key, too. */
  verify?: boolean | undefined
  json?: boolean | undefined
}

const MEANING: Record<KeyState, string> = {
  first: 'wraps what is new',
  in_use: 'latchkey keys rotate moves them to the first key',
  unused: 'may be removed from ENCRYPTION_KEYS',
  missing: 'MISSING: put this key back into ENCRYPTION_KEYS, or what these data keys seal stays unreadable',
  swapped: 'SWAPPED: ENCRYPTION_KEYS has another key under this id than the database was written with',
  retired: 'was used once and is gone from ENCRYPTION_KEYS; its id stays reserved for that key',
}
const BROKEN_SHOWN = 20

const tableOf = (uses: KeyUse[]) =>
  uses.map(({ kid, dataKeys, state }) => `${kid}  ${dataKeys} data keys  ${MEANING[state]}`)
const brokenLines = (broken: BrokenKey[]) => [
  ...broken
    .slice(0, BROKEN_SHOWN)
    .map((each) => `data key ${each.id} of ${each.ownerId} under ${each.kid}: ${each.reason}`),
  ...(broken.length > BROKEN_SHOWN ? [`… and ${broken.length - BROKEN_SHOWN} more`] : []),
]

/**
 * Says which keys of ENCRYPTION_KEYS the database needs. True where each that it needs is there and is the right one, and,
 * with `verify`, opens its data keys. @throws StartError for pending migrations, store_unavailable
 */
export async function keysStatus(env: Env, { verify, json }: StatusOptions, say: Say): Promise<boolean> {
  return await withServices(env, async ({ services }) => {
    const uses = await services.keyStatus.read()
    const verified = verify ? await services.keyStatus.verify() : null
    const faults = uses.filter(({ state }) => state === 'missing' || state === 'swapped')
    const isSound = faults.length === 0 && (verified?.broken.length ?? 0) === 0
    if (json)
      say(JSON.stringify({ is_sound: isSound, keys: uses.map(asFields), verified: verified && asCounts(verified) }))
    else {
      for (const line of tableOf(uses)) say(line)
      if (verified) say(`${verified.dataKeys - verified.broken.length} of ${verified.dataKeys} data keys open.`)
      for (const line of brokenLines(verified?.broken ?? [])) say(line)
    }
    return isSound
  })
}

const asFields = ({ kid, state, dataKeys }: KeyUse) => ({ kid, state, data_keys: dataKeys })
const asCounts = ({ dataKeys, broken }: { dataKeys: number; broken: BrokenKey[] }) => ({
  data_keys: dataKeys,
  broken: broken.map(({ id, ownerId, kid, reason }) => ({ id, owner_id: ownerId, kid, reason })),
})

/**
 * Moves every data key to the first key of ENCRYPTION_KEYS, beside whatever runs. True where none is left under another key.
 * @throws StartError naming a key that is missing or swapped, before anything is changed; store_unavailable
 */
export async function keysRotate(env: Env, say: Say): Promise<boolean> {
  return await withServices(env, async ({ services }) => {
    await services.installation.checkKeys()
    const [first] = await services.keyStatus.read()
    const kid = first?.kid ?? ''
    const line = { tenantId: null, actor: 'cli', subjectId: null, requestId: null } as const
    await services.audit.note({ ...line, action: 'keys.rotation_started', details: { kid } })
    const result = await services.keyRotation.rotate(({ rewrapped, total }) =>
      say(`${rewrapped} of ${Math.max(rewrapped, total)} data keys are wrapped anew`),
    )
    const { rewrapped, left } = result
    await services.audit.note({ ...line, action: 'keys.rotated', details: { kid, rewrapped, left } })
    for (const text of outcome(kid, result)) say(text)
    return left === 0
  })
}

function outcome(kid: string, { rewrapped, madeMeanwhile, left, broken }: RotationResult): string[] {
  const meanwhile =
    madeMeanwhile > 0
      ? [
          `${madeMeanwhile} of them were made under a former key meanwhile: a replica runs that does not have ${kid} first yet.`,
        ]
      : []
  const end =
    left === 0
      ? `Every data key is wrapped under ${kid}. latchkey keys status says which keys may be removed.`
      : `${left} data keys are still under another key. Give every replica ${kid} first, then run this again.`
  return [`${rewrapped} data keys were wrapped anew under ${kid}.`, ...meanwhile, ...brokenLines(broken), end]
}

/**
 * Forgets a key id that was first set with a mistyped value. False, and nothing done, where data keys are wrapped under it or
 * it is not known. @throws StartError for pending migrations, store_unavailable
 */
export async function keysForget(env: Env, kid: string, say: Say): Promise<boolean> {
  return await withServices(env, async ({ services }) => {
    const line = { action: 'forgetKey', subjectIds: [kid] }
    const isForgotten = await recorded(services, line, () => services.keyStatus.forget(kid))
    say(
      isForgotten
        ? `The database no longer knows the key ${kid}; whatever is set under this id next is taken for it.`
        : `Nothing was done: the key ${kid} is in use, or the database does not know it.`,
    )
    return isForgotten
  })
}
