import { createServer, type Socket, connect as tcpConnect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** A moment in the life of one statement, named by the label it was prepared under (src/grants/statements.ts). */
export interface Moment {
  statement: string
  /** Before Postgres has seen it, or after Postgres is done (autocommit: it is committed) and before the service knows. */
  when: 'request' | 'response'
}

export interface HeldMoment {
  /** Resolves once a connection stands at the moment; it stays there until `release` or its end. */
  reached: Promise<void>
  release(): void
}

export interface PostgresProxy {
  /** The same database, through the proxy. */
  url: string
  /** Stops the next execution of a statement at a moment. */
  hold(moment: Moment): HeldMoment
  /** Ends the connection of the next execution of a statement at a moment; settles when that has happened. */
  lose(moment: Moment): Promise<void>
  /** Adds this to every answer of the database. */
  setLatency(ms: number): void
  /** The database is away: every connection is cut, new ones are refused until `open`. */
  cut(): void
  open(): void
  close(): Promise<void>
}

interface Rule extends Moment {
  isLoss: boolean
  isDone: boolean
  strike: () => void
  link: Link | null
}

interface Link {
  client: Socket
  server: Socket
  rule: Rule | null
  /** What waits to be sent on, in order; null while nothing is held in that direction. */
  toServer: Buffer[] | null
  toClient: Buffer[] | null
  /** Answers on their slow way: the last of them, and how many. */
  late: Promise<unknown>
  lateCount: number
}

/**
 * A TCP hop in front of Postgres that can stop, lose or delay what a test wants: real processes can then be killed exactly
 * there. It tells a statement by its name, which every one of ours carries in each execution.
 */
export async function startPostgresProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl)
  const rules = new Set<Rule>()
  const links = new Set<Link>()
  let latencyMs = 0
  let isOpen = true

  function end(link: Link): void {
    links.delete(link)
    link.client.destroy()
    link.server.destroy()
  }
  function take(link: Link, chunk: Buffer): Rule | null {
    const rule = [...rules].find(({ isDone, statement }) => !isDone && chunk.includes(`${statement}_`))
    if (!rule) return null
    rule.isDone = true
    rule.link = link
    return rule
  }
  function strike(link: Link, rule: Rule): void {
    rule.strike()
    if (rule.isLoss) end(link)
  }
  function fromClient(link: Link, chunk: Buffer): void {
    const rule = link.rule ? null : take(link, chunk)
    if (rule) {
      link.rule = rule
      if (rule.when === 'request') link.toServer = []
      else link.toClient = []
    }
    if (link.toServer) link.toServer.push(chunk)
    else link.server.write(chunk)
    if (rule?.when === 'request') strike(link, rule)
  }
  function fromServer(link: Link, chunk: Buffer): void {
    if (link.toClient) {
      link.toClient.push(chunk)
      if (link.rule) strike(link, link.rule)
    } else deliver(link, chunk)
  }
  /** In order, also while the latency changes. */
  function deliver(link: Link, chunk: Buffer): void {
    if (latencyMs === 0 && link.lateCount === 0) {
      link.client.write(chunk)
      return
    }
    link.lateCount += 1
    const arrival = delay(latencyMs, undefined, { ref: false })
    link.late = Promise.all([link.late, arrival]).then(() => {
      link.lateCount -= 1
      link.client.write(chunk)
    })
  }
  function letGo(link: Link): void {
    for (const chunk of link.toServer ?? []) link.server.write(chunk)
    for (const chunk of link.toClient ?? []) link.client.write(chunk)
    Object.assign(link, { rule: null, toServer: null, toClient: null })
  }
  function addRule(moment: Moment, isLoss: boolean): { rule: Rule; struck: Promise<void> } {
    const { promise: struck, resolve } = Promise.withResolvers<void>()
    const rule: Rule = { ...moment, isLoss, isDone: false, strike: resolve, link: null }
    rules.add(rule)
    return { rule, struck }
  }
  function relay(client: Socket): void {
    if (!isOpen) {
      client.destroy()
      return
    }
    const server = tcpConnect(Number(target.port || 5432), target.hostname)
    const held = { rule: null, toServer: null, toClient: null }
    const link: Link = { client, server, ...held, late: Promise.resolve(), lateCount: 0 }
    links.add(link)
    client.on('data', (chunk) => fromClient(link, chunk))
    server.on('data', (chunk) => fromServer(link, chunk))
    for (const socket of [client, server]) socket.on('error', () => end(link)).on('close', () => end(link))
  }

  const listener = createServer(relay)
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const { port } = listener.address() as { port: number }
  const url = new URL(databaseUrl)
  url.host = `127.0.0.1:${port}`
  return {
    url: url.href,
    hold(moment) {
      const { rule, struck } = addRule(moment, false)
      return {
        reached: struck,
        release() {
          rules.delete(rule)
          if (rule.link) letGo(rule.link)
        },
      }
    },
    lose: (moment) => addRule(moment, true).struck,
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
