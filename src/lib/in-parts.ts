/** Does a part of at most `limit` again and again, as long as one comes out full: no statement deletes millions of rows at once. */
export async function inParts(
  limit: number,
  signal: AbortSignal,
  part: (limit: number) => Promise<number>,
): Promise<void> {
  for (let done = limit; done === limit && !signal.aborted; ) done = await part(limit)
}
