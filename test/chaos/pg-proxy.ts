import { createServer, connect as dial, type Socket } from 'node:net'

/** A moment in the life of one statement, named by the label it was prepared under (src/grants/statements.ts). */
export interface Moment {
  statement: string
  /** Before Postgres has seen it, or after Postgres is done and before the service knows. */
  when: 'request' | 'response'
}

export interface HeldMoment {
  /** Resolves once a connection stands at the moment; it stays there until `release` or the end of its process. */
  reached: Promise<void>
  release(): void
}

export interface PgProxy {
  /** The same database, through the proxy. */
  url: string
  hold(moment: Moment): HeldMoment
  /** Adds this to every answer of the database. */
  setLatency(ms: number): void
  /** Cuts every connection; new ones are refused until `open`. */
  cut(): void
  open(): void
  close(): Promise<void>
}

interface Rule extends Moment {
  reach: () => void
  held: Link[]
  isDone: boolean
}

interface Link {
  client: Socket
  server: Socket
  /** What waits to be sent on, in order; null while nothing is held in that direction. */
  toServer: Buffer[] | null
  toClient: Buffer[] | null
}

/** A TCP proxy that can stop one statement at one moment: real processes can then be killed exactly there. */
export async function startPgProxy(databaseUrl: string): Promise<PgProxy> {
  const target = new URL(databaseUrl)
  const rules = new Set<Rule>()
  const links = new Set<Link>()
  let latencyMs = 0
  let isOpen = true

  function matching(chunk: Buffer): Rule | undefined {
    return [...rules].find((rule) => !rule.isDone && chunk.includes(`${rule.statement}_`))
  }
  function fromClient(link: Link, chunk: Buffer): void {
    const rule = link.toServer ? undefined : matching(chunk)
    if (rule) {
      rule.isDone = true
      rule.held.push(link)
      if (rule.when === 'request') link.toServer = []
      else link.toClient = []
    }
    if (link.toServer) link.toServer.push(chunk)
    else link.server.write(chunk)
    if (rule?.when === 'request') rule.reach()
  }
  function fromServer(link: Link, chunk: Buffer): void {
    if (link.toClient) {
      link.toClient.push(chunk)
      for (const rule of rules) if (rule.held.includes(link)) rule.reach()
      return
    }
    if (latencyMs > 0) setTimeout(() => link.client.write(chunk), latencyMs)
    else link.client.write(chunk)
  }
  function letGo(link: Link): void {
    for (const chunk of link.toServer ?? []) link.server.write(chunk)
    for (const chunk of link.toClient ?? []) link.client.write(chunk)
    link.toServer = null
    link.toClient = null
  }
  function end(link: Link): void {
    links.delete(link)
    link.client.destroy()
    link.server.destroy()
  }

  const listener = createServer((client) => {
    if (!isOpen) {
      client.destroy()
      return
    }
    const link: Link = {
      client,
      server: dial(Number(target.port || 5432), target.hostname),
      toServer: null,
      toClient: null,
    }
    links.add(link)
    client.on('data', (chunk: Buffer) => fromClient(link, chunk))
    link.server.on('data', (chunk: Buffer) => fromServer(link, chunk))
    for (const socket of [client, link.server]) {
      socket.on('error', () => end(link))
      socket.on('close', () => end(link))
    }
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const address = listener.address()
  const url = new URL(databaseUrl)
  url.hostname = '127.0.0.1'
  url.port = String(typeof address === 'object' && address ? address.port : 0)

  return {
    url: url.href,
    hold(moment) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const rule: Rule = { ...moment, reach: resolve, held: [], isDone: false }
      rules.add(rule)
      return {
        reached: promise,
        release() {
          rules.delete(rule)
          for (const link of rule.held) letGo(link)
        },
      }
    },
    setLatency(ms) {
      latencyMs = ms
    },
    cut() {
      isOpen = false
      for (const link of links) end(link)
    },
    open() {
      isOpen = true
    },
    async close() {
      for (const link of links) end(link)
      await new Promise<void>((resolve) => listener.close(() => resolve()))
    },
  }
}
