import type { Grants } from './grants.ts'
import { type JoinInput, joinInput } from './schemas.ts'
import { parseInput, type State } from './state.ts'
import { randomToken, sdkToken } from './tokens.ts'

export type MintKind = 'join' | 'obf' | 'zak' | 'token'

interface MintRecord {
  kind: MintKind
  userId: string
  /** null: good for any meeting. */
  meetingId: string | null
  expiresAt: number
  skipsWaitingRoom: boolean
  isUserLevel: boolean
  used: boolean
}

/** What the SDK tells a bot that tries to join. */
export interface JoinResult {
  joined: boolean
  skips_waiting_room: boolean
  /** Zoom's SDK fail code, null when joined. */
  sdk_code: number | null
  reason: string | null
}

const JOIN_TOKEN_LIFE_SECONDS = 120
/** Beyond this many, the oldest minted tokens are forgotten, so that long load runs stay within memory. */
const REMEMBERED_MINTS = 200_000

const refused = (code: number, reason: string): JoinResult => ({
  joined: false,
  skips_waiting_room: false,
  sdk_code: code,
  reason,
})

/** Join tokens, OBF tokens and ZAKs: each unique, and what they are good for at the SDK's door. */
export function createMints(state: State, grants: Grants) {
  const records = new Map<string, MintRecord>()
  const minted: string[] = []

  function mint(record: Omit<MintRecord, 'expiresAt' | 'used'>, lifeSeconds = JOIN_TOKEN_LIFE_SECONDS): string {
    const { kind } = record
    const value = kind === 'obf' || kind === 'zak' ? sdkToken(kind) : randomToken(18)
    records.set(value, { ...record, expiresAt: state.now() + lifeSeconds * 1000, used: false })
    minted.push(value)
    grants.issued.push({ kind, value })
    if (minted.length > REMEMBERED_MINTS) {
      for (const old of minted.splice(0, REMEMBERED_MINTS / 2)) records.delete(old)
      grants.issued.splice(0, REMEMBERED_MINTS / 2)
    }
    return value
  }

  /** Why a token does not open this meeting, or null when it does. */
  function flaw(record: MintRecord | undefined, kinds: MintKind[], meetingId: string): string | null {
    if (!record || !kinds.includes(record.kind)) return 'unknown token'
    if (record.expiresAt <= state.now()) return 'expired'
    if (record.meetingId !== null && record.meetingId !== meetingId) return 'another meeting'
    const isSingleUse = record.kind === 'join' || (record.kind === 'obf' && state.modes.obfSingleUse)
    return record.used && isSingleUse ? 'already used' : null
  }

  const codeFor = (kind: MintKind, why: string) => {
    if (kind === 'join') return 500
    return kind === 'obf' && why === 'another meeting' ? 506 : 505
  }

  /** Joins as a bot's SDK would: a join token works once, within 120 s, for its own meeting. */
  function join(input: JoinInput): JoinResult {
    const given = parseInput(joinInput, input, 'join')
    const meeting = state.findMeeting(given.meeting_id)
    if (!meeting || meeting.ended) return refused(3001, 'no such meeting')
    const presented: { record: MintRecord | undefined; kinds: MintKind[] }[] = []
    const present = (token: string | undefined, kinds: MintKind[]) => {
      if (token !== undefined) presented.push({ record: records.get(token), kinds })
    }
    present(given.token, ['join', 'obf', 'zak', 'token'])
    present(given.on_behalf_token, ['obf'])
    present(given.zak, ['zak'])
    if (presented.length === 0) return refused(504, 'no token')
    for (const { record, kinds } of presented) {
      const why = flaw(record, kinds, meeting.id)
      if (why !== null) return refused(codeFor(record?.kind ?? kinds[0] ?? 'join', why), why)
    }
    const held = presented.flatMap(({ record }) => (record ? [record] : []))
    const joinToken = held.find((record) => record.kind === 'join')
    const hostToken = held.find((record) => record.kind !== 'join' && record.userId === meeting.host_id)
    if (joinToken?.isUserLevel && state.modes.joinNeedsHostToken && !hostToken) return refused(503, 'no host token')
    for (const record of held) record.used = true
    const isHost = held.some((record) => record.kind === 'zak' && record.userId === meeting.host_id)
    const skips = !meeting.waiting_room || isHost || (joinToken?.skipsWaitingRoom ?? false)
    return { joined: true, skips_waiting_room: skips, sdk_code: null, reason: null }
  }

  return {
    minted,
    mint,
    join,
    clear() {
      records.clear()
      minted.length = 0
    },
  }
}

export type Mints = ReturnType<typeof createMints>
