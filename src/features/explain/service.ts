import { AppError } from '../../errors.ts'
import { isUuid } from '../../lib/ids.ts'
import type { ZoomCloud } from '../../zoom/cloud.ts'
import { type PersonalLink, parseMeetingReference } from '../../zoom/meeting-id.ts'
import { missingScopes, type PassKind, type TokenKind } from '../../zoom/scopes.ts'
import { type Cause, causesOf } from './causes.ts'
import type { MintFact } from './facts.ts'
import type { SettingsView } from './settings.ts'

type GrantStatus = 'connected' | 'reconnect_required' | 'blocked'

/** The state of a host's or an organization's grant; never its tokens, nor whose address it is. */
export interface ExplainedGrant {
  id: string
  grantId: string
  status: GrantStatus
  statusReason: string | null
  scopes: string[]
  connectedAt: Date
  lastRefreshedAt: Date | null
}

export type ExplainedHost = ExplainedGrant & { externalUserId: string; zoomAccountId: string | null }

export interface ExplainedMapping {
  hostId: string | null
  externalUserId: string | null
  organizationId: string | null
  /** Of an organization's meeting: its host at Zoom, where Zoom told. */
  zoomUserId: string | null
  source: 'api' | 'event' | 'sync' | 'lookup'
  observedAt: Date
  replaced: {
    source: 'api' | 'event' | 'sync' | 'lookup'
    host_id: string | null
    organization_id: string | null
    observed_at: string
  } | null
  updatedAt: Date
}

export type ExplainedMint = MintFact & {
  id: string
  passId: string | null
  zoomStatus: number | null
  durationMs: number | null
  requestId: string
}

export interface ExplainedPass {
  id: string
  meetingId: string | null
  /** Whose access token it is for, where it is for no meeting. */
  externalUserId: string | null
  kinds: PassKind[]
  onBehalfOf: { id: string | null; externalUserId: string; status: GrantStatus | null }[]
  joinAt: Date | null
  expiresAt: Date
  createdAt: Date
}

export interface Explanation {
  /** What the reference was parsed to; null for a pass of kind `access`. */
  meetingId: string | null
  /** Of a meeting: that whose bot asked last, else the newest. */
  pass: ExplainedPass | null
  mapping: (ExplainedMapping & { rule: string }) | null
  personalRoomOf: string | null
  host: (ExplainedHost & { kinds: TokenKind[] }) | null
  organization: ExplainedGrant | null
  settings: SettingsView
  /** Newest first. */
  mints: ExplainedMint[]
  /** The likeliest first. */
  causes: Cause[]
}

export interface ExplainDeps {
  passes: {
    byId: (tenantId: string, id: string) => Promise<ExplainedPass | null>
    list: (
      tenantId: string,
      filter: { meetingId: string },
      limit: number,
      cursor: undefined,
    ) => Promise<{ data: ExplainedPass[] }>
  }
  meetings: { find: (tenantId: string, meetingId: string) => Promise<ExplainedMapping | null> }
  hosts: { byExternalUserId: (tenantId: string, externalUserId: string) => Promise<ExplainedHost | null> }
  organizations: {
    byId: (tenantId: string, id: string) => Promise<ExplainedGrant | null>
    list: (
      tenantId: string,
      filter: { zoomAccountId: string },
      limit: number,
      cursor: undefined,
    ) => Promise<{ data: ExplainedGrant[] }>
  }
  mints: {
    list: (
      tenantId: string,
      filter: { meetingId: string } | { passId: string },
      limit: number,
      cursor: undefined,
    ) => Promise<{ data: ExplainedMint[] }>
  }
  zoomCloud: ZoomCloud
  personalRooms: {
    ownerOf: (tenantId: string, meetingId: string) => Promise<string | null>
    byLink: (tenantId: string, link: PersonalLink) => Promise<{ meetingId: string }[]>
  }
  settingsOf: (grant: ExplainedGrant | null, ofZoomUserId: string | null) => Promise<SettingsView>
  now: () => number
}

export type ExplainService = ReturnType<typeof createExplainService>

const SHOWN_MINTS = 10

/** Why this mapping stands (ADR 0020). */
const RULES: Record<ExplainedMapping['source'], string> = {
  api: 'You said so, and what you say stands over whatever Zoom says.',
  event: 'An event of Zoom’s said so: the latest word of Zoom’s, over which only yours stands.',
  lookup: 'Zoom was asked about this meeting: the latest word of Zoom’s, over which only yours stands.',
  sync: 'It was in a list of Zoom’s: what you say, an event and a lookup stand over it.',
}

const unknownPass = () => new AppError('not_found', 'No such pass.')
const unknownMeeting = () =>
  new AppError('not_found', 'Nothing is known of this meeting: no mapping, no pass and no mint of it.')

const tokenKindsOf = (pass: ExplainedPass | null): TokenKind[] =>
  pass ? pass.kinds.filter((kind) => kind !== 'access') : ['join', 'obf']

/** Says what is known of a meeting or pass, and why a bot did not skip the waiting room. Reads, and changes nothing. */
export function createExplainService(deps: ExplainDeps) {
  const { passes, meetings, hosts, organizations, mints, personalRooms, zoomCloud, settingsOf, now } = deps

  /** Whose join tokens stand in for the host's: the organization mapped, or that of the host's Zoom account. */
  async function organizationOf(
    tenantId: string,
    mapping: ExplainedMapping | null,
    host: ExplainedHost | null,
  ): Promise<ExplainedGrant | null> {
    if (mapping?.organizationId) return await organizations.byId(tenantId, mapping.organizationId)
    if (!mapping || !host?.zoomAccountId) return null
    const { data } = await organizations.list(tenantId, { zoomAccountId: host.zoomAccountId }, 1, undefined)
    return data[0] ?? null
  }

  async function explain(
    tenantId: string,
    { meetingId, pass, shown }: { meetingId: string | null; pass: ExplainedPass | null; shown: ExplainedMint[] },
  ): Promise<Explanation> {
    const mapping = meetingId === null ? null : await meetings.find(tenantId, meetingId)
    const hostName = pass?.externalUserId ?? mapping?.externalUserId
    const host = hostName ? await hosts.byExternalUserId(tenantId, hostName) : null
    const organization = await organizationOf(tenantId, mapping, host)
    const personalRoomOf = meetingId === null ? null : await personalRooms.ownerOf(tenantId, meetingId)
    const ofUser = host ? null : (mapping?.zoomUserId ?? null)
    const settings = await settingsOf(ofUser === null ? host : organization, ofUser)
    const kinds = tokenKindsOf(pass)
    const causes = causesOf({
      meetingId,
      pass: pass && { ...pass, onBehalfOf: pass.onBehalfOf.map(({ externalUserId }) => externalUserId) },
      mapping,
      host: host && { ...host, missingScopes: missingScopes(host.scopes, kinds) },
      hasOrganization: organization?.status === 'connected',
      roomOwner: personalRoomOf,
      // of one bot: another's tokens say nothing of this one's
      mints: shown.filter(({ passId }) => passId === (pass?.id ?? shown[0]?.passId)),
      isLocalRecordingOn: settings.isKnown ? settings.localRecording : null,
      now: new Date(now()),
    })
    return {
      meetingId,
      pass,
      mapping: mapping && { ...mapping, rule: RULES[mapping.source] },
      personalRoomOf,
      host: host && { ...host, kinds },
      organization,
      settings,
      mints: shown,
      causes,
    }
  }

  /** @throws not_found for an unknown id, a revoked pass and another tenant's; store_unavailable */
  async function explainPass(tenantId: string, passId: string): Promise<Explanation> {
    const pass = await passes.byId(tenantId, passId)
    if (!pass) throw unknownPass()
    const { data: shown } = await mints.list(tenantId, { passId }, SHOWN_MINTS, undefined)
    return await explain(tenantId, { meetingId: pass.meetingId, pass, shown })
  }

  /** @throws not_found for a number that this tenant has nothing of, whatever others have; store_unavailable */
  async function explainMeeting(tenantId: string, meetingId: string): Promise<Explanation> {
    const [{ data: shown }, mapping, { data: passesOfIt }] = await Promise.all([
      mints.list(tenantId, { meetingId }, SHOWN_MINTS, undefined),
      meetings.find(tenantId, meetingId),
      passes.list(tenantId, { meetingId }, 1, undefined),
    ])
    if (shown.length === 0 && !mapping && passesOfIt.length === 0) throw unknownMeeting()
    const pass = shown[0] ? await passThatAsked(tenantId, meetingId, shown[0]) : (passesOfIt[0] ?? null)
    return await explain(tenantId, { meetingId, pass, shown })
  }

  /** Null where it is gone, was moved to another meeting, or a plain URL was asked. */
  async function passThatAsked(tenantId: string, meetingId: string, { passId }: ExplainedMint) {
    const pass = passId === null ? null : await passes.byId(tenantId, passId)
    return pass?.meetingId === meetingId ? pass : null
  }

  return {
    explainPass,
    explainMeeting,
    /** The id of a pass, or a meeting as people paste it. @throws invalid_request, not_found, store_unavailable */
    async explainReference(tenantId: string, text: string): Promise<Explanation> {
      if (isUuid(text)) return await explainPass(tenantId, text)
      const reference = parseMeetingReference(text, zoomCloud)
      if ('meetingId' in reference) return await explainMeeting(tenantId, reference.meetingId)
      const rooms = await personalRooms.byLink(tenantId, reference.personalLink)
      const numbers = new Set(rooms.map(({ meetingId }) => meetingId))
      const [meetingId] = numbers
      if (meetingId === undefined || numbers.size > 1)
        throw new AppError('invalid_request', 'This personal link leads to no one connected host; give the number.')
      return await explainMeeting(tenantId, meetingId)
    },
  }
}
