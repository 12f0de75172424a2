/**
 * The values of every line of one header as they came over the wire, for what may come only once: in Node's own `headers` a
 * second line is dropped or joined to the first without a trace.
 * @param rawHeaders names and values in turn, of Node's `IncomingMessage`
 * @param name in lower case
 */
export function headerLines(rawHeaders: string[], name: string): string[] {
  const values: string[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    if (rawHeaders[index]?.toLowerCase() === name) values.push(rawHeaders[index + 1] as string)
  return values
}
