import { createServer, type Socket, connect as tcpConnect } from 'node:net'

interface Cut {
  label: string
  /** Whether the database gets to see the statement; its answer is lost in any case. */
  isDelivered: boolean
  struck: () => void
}

/**
 * A TCP hop in front of Postgres that loses what a test wants lost. It tells a statement by its name, which every one of ours
 * carries in each execution.
 */
export async function startPostgresProxy(databaseUrl: string) {
  const target = new URL(databaseUrl)
  const sockets = new Set<Socket>()
  const cuts: Cut[] = []
  let isRefusing = false

  function relay(client: Socket): void {
    if (isRefusing) return void client.destroy()
    const upstream = tcpConnect(Number(target.port || 5432), target.hostname)
    const end = () => [client, upstream].forEach((socket) => void socket.destroy())
    let pending: Cut | undefined
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', end).on('close', () => {
        sockets.delete(socket)
        end()
      })
    }
    client.on('data', (chunk) => {
      const index = cuts.findIndex(({ label }) => chunk.includes(label))
      if (index >= 0) [pending] = cuts.splice(index, 1)
      if (pending && !pending.isDelivered) {
        pending.struck()
        end()
      } else upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      if (pending) {
        pending.struck() // autocommit: an answer means that it is done
        end()
      } else client.write(chunk)
    })
  }

  const server = createServer(relay)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const url = new URL(databaseUrl)
  url.host = `127.0.0.1:${port}`
  const cutOff = () => sockets.forEach((socket) => void socket.destroy())
  return {
    url: url.href,
    /** Loses the next execution of a statement, or only the answer to it; settles when that has happened. */
    lose: (label: string, { isDelivered }: { isDelivered: boolean }) =>
      new Promise<void>((struck) => cuts.push({ label, isDelivered, struck })),
    /** The database is away, for connections that stand and for new ones. */
    goAway() {
      isRefusing = true
      cutOff()
    },
    comeBack() {
      isRefusing = false
    },
    async close() {
      cutOff()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
