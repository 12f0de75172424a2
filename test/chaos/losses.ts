import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Simulator } from '../../simulator/server.ts'
import type { Fleet } from './fleet.ts'

/** What excuses a lost rotation; anything else is a broken promise. */
export type LossCause = 'answer_spoilt' | 'killed' | 'frozen' | 'database_away'

export interface LossJudge {
  /** The database is away, or may be, until so many milliseconds after the returned function is called. */
  beginOutage(): (recoveryMs: number) => void
  /** Why the last rotation of this Zoom user's grant was lost; a sentence where nothing excuses it. */
  causeOf(zoomUserId: string): Promise<LossCause | { unexcused: string }>
  /** The longest that a killed holder had lived with the answer that died with it. */
  longestLivedMs(): number
  /** Writes something all the time, each on a connection of its own, until it is over: shows how slow the machine is. */
  watchDatabase(isOver: () => boolean): Promise<void>
}

// the promise: an answer that reached a process which lived 100 ms longer is kept
const LIVED_MS = 100
const PULSE_EVERY_MS = 100

/** Who took which lease, where the row itself only names the last holder; and something to write. */
const NOTEBOOK = [
  `CREATE TABLE chaos_leases (grant_id uuid, lease_seq bigint, owner text, taken_at timestamptz)`,
  `CREATE TABLE chaos_pulse AS SELECT clock_timestamp() AS at`,
  `CREATE FUNCTION chaos_note_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO chaos_leases VALUES (NEW.grant_id, NEW.lease_seq, NEW.lease_owner, clock_timestamp());
     RETURN NULL;
   END $$`,
  `CREATE TRIGGER chaos_note_lease AFTER UPDATE ON grant_tokens FOR EACH ROW
     WHEN (NEW.lease_seq > OLD.lease_seq) EXECUTE FUNCTION chaos_note_lease()`,
]

/** Repeats what needs the database until it is there. */
export async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (/^(22|23|42)/.test(String((error as { code?: unknown }).code))) throw error // the work itself is wrong
      await delay(250)
    }
  }
}

async function writeAfresh(connectionString: string): Promise<boolean> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 3000, query_timeout: 5000 })
  client.on('error', () => undefined) // it may be cut; the query says so
  try {
    await client.connect()
    await client.query('UPDATE chaos_pulse SET at = clock_timestamp()')
    return true
  } finally {
    await client.end().catch(() => undefined)
  }
}

/**
 * Holds every loss against what was done to its holder: the simulator knows when it answered the refresh and whether a fault
 * spoilt the answer, the fleet knows when which process died or slept, the lease's owner says which process it was.
 */
export async function createLossJudge(deps: {
  direct: pg.Pool
  proxyUrl: string
  zoom: Simulator
  fleet: Fleet
}): Promise<LossJudge> {
  const { direct, proxyUrl, zoom, fleet } = deps
  const outages: { fromMs: number; toMs: number }[] = []
  let longestMs = 0
  const writes: { askedMs: number; answeredMs: number }[] = []
  for (const text of NOTEBOOK) await direct.query(text)

  /** The process that held the lease at this time; a name in the lease is host/pid/id (src/foundation.ts). */
  async function holderAt(zoomUserId: string, atMs: number): Promise<number | null> {
    const { rows } = await persistently(() =>
      direct.query<{ owner: string }>(
        `SELECT l.owner FROM chaos_leases l JOIN grants g ON g.id = l.grant_id
          WHERE g.zoom_user_id = $1 AND l.taken_at <= to_timestamp($2::float8 / 1000)
          ORDER BY l.lease_seq DESC LIMIT 1`,
        [zoomUserId, atMs + 1], // the simulator's time is cut to whole milliseconds
      ),
    )
    return rows[0] ? Number(rows[0].owner.split('/').at(-2)) : null
  }

  /**
   * How long the holder lived after it surely had the answer: it has answered a question that was asked after Zoom's answer
   * was sent. Null where it died before that: on a machine whose cores are all busy, what was sent is not yet read.
   */
  function livedOnMs(pid: number, sentMs: number, endedMs: number): number | null {
    const pulse = fleet.pulsesOf(pid).find(({ askedMs }) => askedMs >= sentMs)
    return pulse ? endedMs - pulse.answeredMs : null
  }

  /** What a write on a fresh connection took around then: a young process has no other, and a starved machine is slow at it. */
  function slownessMs(fromMs: number, toMs: number): number {
    const around = writes.filter(({ askedMs, answeredMs }) => answeredMs >= fromMs - 1000 && askedMs <= toMs + 1000)
    return Math.max(0, ...around.map(({ askedMs, answeredMs }) => answeredMs - askedMs))
  }

  return {
    longestLivedMs: () => longestMs,
    async watchDatabase(isOver) {
      while (!isOver()) {
        const askedMs = Date.now()
        if (await writeAfresh(proxyUrl).catch(() => false)) writes.push({ askedMs, answeredMs: Date.now() })
        await delay(PULSE_EVERY_MS)
      }
    },
    beginOutage() {
      const outage = { fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY }
      outages.push(outage)
      return (recoveryMs) => {
        outage.toMs = Date.now() + recoveryMs
      }
    },
    async causeOf(zoomUserId) {
      const rotation = zoom
        .log({ grant_type: 'refresh_token', user_id: zoomUserId })
        .filter(({ status }) => status === 200)
        .at(-1)
      if (!rotation) return { unexcused: 'Zoom never rotated its refresh token' }
      if (rotation.fault !== null) return 'answer_spoilt'
      const sentMs = Date.parse(rotation.time)
      const pid = await holderAt(zoomUserId, sentMs)
      if (pid === null) return { unexcused: 'nobody held its lease' }
      if (fleet.napsOf(pid).some(({ toMs }) => toMs === null || toMs >= sentMs)) return 'frozen'
      const ending = fleet.endingOf(pid)
      if (!ending) return { unexcused: 'its holder lives' }
      const livedMs = livedOnMs(pid, sentMs, ending.atMs) ?? 0
      const slowMs = slownessMs(sentMs, ending.atMs)
      if (ending.signal === 'SIGKILL' && livedMs <= LIVED_MS + slowMs) {
        longestMs = Math.max(longestMs, livedMs)
        return 'killed'
      }
      if (outages.some(({ fromMs, toMs }) => toMs >= sentMs && fromMs <= ending.atMs)) return 'database_away'
      const sent = `sent ${ending.atMs - sentMs} ms before ${ending.signal}`
      return {
        unexcused: `its holder lived for ${livedMs} ms with the answer, ${sent}; a write took ${slowMs} ms then`,
      }
    },
  }
}
