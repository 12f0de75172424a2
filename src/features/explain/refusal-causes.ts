import { codeOf, type Facts, lastRefused, latest, type MintFact } from './facts.ts'
import { certain, type Finding, likely, possible, type Suspect } from './suspect.ts'

const nameOf = (externalUserId: string) => JSON.stringify(externalUserId)

/** An OBF token on somebody's behalf needs no mapping; every other token does. */
const needsMapping = ({ pass }: Facts) =>
  !pass || pass.onBehalfOf.length === 0 || pass.kinds.some((kind) => kind === 'join' || kind === 'zak')

/** What came of asking Zoom, by the mint's reason. */
const SEARCHES: Record<string, string> = {
  looked_up: ' Zoom was asked: none of the likely hosts has it.',
  lookup_incomplete: ' Zoom was asked and did not answer for everybody: the next bot asks again.',
  quota: ' Zoom was not asked, since too many such questions had been put within that minute.',
  mapping_deleted: ' The mapping was taken away on purpose, so Zoom was not asked.',
}

const searchOf = (refused: MintFact | undefined): string => SEARCHES[refused?.reason ?? ''] ?? ''

function notMapped(facts: Facts): Finding | null {
  const { mapping, meetingId, roomOwner } = facts
  const refused = lastRefused(facts, ['meeting_not_mapped'])
  if (meetingId !== null && !mapping && needsMapping(facts)) {
    const room = roomOwner === null ? '' : ` It is the personal room of ${nameOf(roomOwner)}.`
    return certain(`Nobody has said whose meeting ${meetingId} is.${searchOf(refused)}${room}`)
  }
  if (!mapping || !refused) return null
  return likely(`It was not mapped when the bot asked, at ${refused.createdAt.toISOString()}; it is now.`)
}

function didNotAsk({ mints, pass, now }: Facts): Finding | null {
  if (mints.length > 0) return null
  if (pass?.joinAt && pass.joinAt > now)
    return possible(`No bot has asked yet; it is due ${pass.joinAt.toISOString()}.`)
  return likely(pass ? 'No bot has asked for a token with this pass.' : 'No bot has asked for a token of this meeting.')
}

function requestRefused({ mints }: Facts): Finding | null {
  const [newest] = mints
  if (newest?.outcome !== 'unauthenticated' && newest?.outcome !== 'pass_mismatch') return null
  return certain(`The last request, for ${newest.kind}, was refused: ${newest.reason ?? newest.outcome}.`)
}

/** What only the meeting's own host can give to this bot. */
const kindsOfTheHost = ({ pass }: Facts) =>
  (pass?.kinds ?? []).filter((kind) => kind === 'zak' || (kind === 'obf' && pass?.onBehalfOf.length === 0))

function notConnected(facts: Facts): Finding | null {
  const { mapping, host, hasOrganization } = facts
  if (mapping?.externalUserId === null && !hasOrganization)
    return certain('The organization that the meeting is mapped to is not connected.')
  const lacking = kindsOfTheHost(facts)
  if (mapping?.externalUserId === null && lacking.length > 0)
    return certain(
      `The meeting is the organization's, which makes join tokens and no other: its host has to connect for ${lacking.join(' and ')}.`,
    )
  const lost =
    host?.status === 'reconnect_required'
      ? `${nameOf(host.externalUserId)} must connect Zoom again: ${host.statusReason}.`
      : mapping?.externalUserId && !host
        ? `${nameOf(mapping.externalUserId)}, whose meeting it is, is not connected.`
        : null
  if (lost && hasOrganization) return likely(`${lost} The organization makes the join token, and no other.`)
  if (lost) return certain(lost)
  const refused = lastRefused(facts, ['host_not_connected', 'reconnect_required'])
  if (!refused) return null
  const when = `when the bot asked, at ${refused.createdAt.toISOString()}`
  return likely(`Nobody who could make the ${refused.kind} token was connected ${when}.`)
}

function blocked(facts: Facts): Finding | null {
  const { host } = facts
  if (host?.status === 'blocked')
    return certain(`Zoom has locked ${nameOf(host.externalUserId)} out: ${host.statusReason}.`)
  const refused = lastRefused(facts, ['host_blocked'])
  return refused ? likely(`The host was blocked when the bot asked, at ${refused.createdAt.toISOString()}.`) : null
}

function missingScope(facts: Facts): Finding | null {
  const { host } = facts
  const refused = lastRefused(facts, ['missing_scope'])
  if (refused) return certain(`Zoom refused the ${refused.kind} token for want of a scope${codeOf(refused)}.`)
  if (!host || host.missingScopes.length === 0) return null
  return certain(`${nameOf(host.externalUserId)} did not grant ${host.missingScopes.join(', ')}.`)
}

function notTheHost(facts: Facts): Finding | null {
  const refused = lastRefused(facts, ['not_the_host', 'meeting_not_found'])
  if (!refused) return null
  const whose = facts.host ? `that of ${nameOf(facts.host.externalUserId)}` : 'the connected user’s'
  const text = `Zoom gives no ${refused.kind} token by ${whose}: ${refused.outcome}${codeOf(refused)}.`
  return refused.outcome === 'not_the_host' ? certain(text) : likely(`${text} The number may also be wrong or over.`)
}

function localRecordingOff(facts: Facts): Finding | null {
  const refused = lastRefused(facts, ['local_recording_disabled'])
  if (refused) return certain(`Zoom refused the join token: local recording is off for the host${codeOf(refused)}.`)
  if (facts.isLocalRecordingOn === false) return likely('Zoom’s settings of the host say: local recording is off.')
  if (latest(facts, 'join')?.outcome !== 'minted') return null
  return possible('Whether the host may give participants the permission to record locally is not in Zoom’s API.')
}

function appMisconfigured(facts: Facts): Finding | null {
  const refused = lastRefused(facts, ['app_misconfigured'])
  return refused
    ? certain('Zoom refuses the Zoom app itself: its client id, its secret, or because it is disabled.')
    : null
}

const TROUBLE = ['zoom_unavailable', 'zoom_timeout', 'zoom_rate_limited', 'busy', 'rate_limited', 'store_unavailable']

function trouble(facts: Facts): Finding | null {
  const refused = lastRefused(facts, [...TROUBLE, 'foreign_database', 'internal_error', 'unknown'])
  if (!refused) return null
  const at = refused.createdAt.toISOString()
  if (refused.outcome === 'unknown')
    return likely(`What came of the ${refused.kind} token asked for at ${at} is not known.`)
  return certain(
    `The ${refused.kind} token asked for at ${at} failed in passing: ${refused.outcome}${codeOf(refused)}.`,
  )
}

/** The bot did not get as far as asking anybody's grant. */
export const REQUEST_SUSPECTS: Suspect[] = [
  {
    cause: 'meeting_not_mapped',
    nextStep:
      'Say whose meeting it is: host in POST /v1/passes, or PUT /v1/meetings/{meeting_id}. For instant meetings and personal rooms connect the host and subscribe to meeting.started.',
    look: notMapped,
  },
  {
    cause: 'bot_did_not_ask',
    nextStep:
      'Merge the pass’s recall into the body of Recall’s Create Bot, check that PUBLIC_BASE_URL is https and reachable from outside, and ask Recall whether custom Zoom SDK credentials are on.',
    look: didNotAsk,
  },
  {
    cause: 'request_refused',
    nextStep:
      'Give Latchkey the verification secret of the Recall workspace that runs the bot, check the clock of this machine, and use the URLs of a pass of this very meeting that is neither expired nor revoked.',
    look: requestRefused,
  },
]

/** Zoom, or the state of the grant, gives no token. */
export const CONNECTION_SUSPECTS: Suspect[] = [
  {
    cause: 'host_not_connected',
    nextStep:
      'Send the user, or for an organization its admin, a connect link: POST /v1/connect-sessions with the same external_user_id.',
    look: notConnected,
  },
  {
    cause: 'host_blocked',
    nextStep: 'The host’s Zoom administrator must allow the app, or activate the user; then the host connects again.',
    look: blocked,
  },
  {
    cause: 'missing_scope',
    nextStep: 'Add the scope to the Zoom app if it is not there, then let the host connect again.',
    look: missingScope,
  },
  {
    cause: 'not_the_host',
    nextStep:
      'Find out who hosts the meeting (not who scheduled it, nor an alternative host), connect that user, and map the meeting to them.',
    look: notTheHost,
  },
  {
    cause: 'local_recording_off',
    nextStep:
      'The host turns on local recording, and "Hosts can give meeting participants permission to record locally", at zoom.us/profile/setting; where it is locked, their Zoom administrator does.',
    look: localRecordingOff,
  },
  {
    cause: 'app_misconfigured',
    nextStep: 'Mend the client id, secret or state of the Zoom app. Nobody has to connect again.',
    look: appMisconfigured,
  },
  {
    cause: 'passing_trouble',
    nextStep: 'Send the bot again; if it stays so, look at Zoom’s status page and at the service’s log by request_id.',
    look: trouble,
  },
]
