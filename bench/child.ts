import { randomBytes } from 'node:crypto'
import type { Server } from 'node:http'

/** Printable random text of this length. */
export function randomToken(length: number): string {
  return randomBytes(length).toString('base64url').slice(0, length)
}

/** Listens on any free port of loopback and tells the parent process which; ends with the parent. */
export function listenAndTell(server: Server): void {
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    process.send?.({ port: typeof address === 'object' && address ? address.port : 0 })
  })
  process.on('disconnect', () => process.exit())
}
