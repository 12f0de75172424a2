/**
 * Does a part of at most `limit` again and again, as long as one comes out full: no statement deletes millions of rows at once. Gives how
 * many in all. Without a `signal` it goes on to the end.
 */
export async function inParts(
  limit: number,
  signal: AbortSignal | null,
  part: (limit: number) => Promise<number>,
): Promise<number> {
  let total = 0
  for (let done = limit; done === limit && !signal?.aborted; total += done) done = await part(limit)
  return total
}
