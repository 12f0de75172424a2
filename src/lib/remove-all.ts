import { AppError } from '../errors.ts'

const AT_ONCE = 20

/**
 * Removes a batch at a time whatever `idsOf` still gives, until it gives nothing; after a crash or a throw a second call goes
 * on. What somebody else removed in between counts as removed. @throws what `remove` throws, but for not_found
 */
export async function removeAll(
  idsOf: (limit: number) => Promise<string[]>,
  remove: (id: string) => Promise<void>,
): Promise<void> {
  for (let ids = await idsOf(AT_ONCE); ids.length > 0; ids = await idsOf(AT_ONCE))
    for (const outcome of await Promise.allSettled(ids.map((id) => remove(id)))) {
      const isGone =
        outcome.status === 'rejected' && outcome.reason instanceof AppError && outcome.reason.code === 'not_found'
      if (outcome.status === 'rejected' && !isGone) throw outcome.reason
    }
}
