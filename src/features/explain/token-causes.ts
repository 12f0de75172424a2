import { type Facts, lastMinted, latest, secondsBetween } from './facts.ts'
import { certain, type Finding, likely, possible, type Suspect } from './suspect.ts'

/** How long Zoom's join token for local recording lives. @see reference of the endpoint: `expire_in` */
const JOIN_TOKEN_SECONDS = 120
/** A bot that fetches its tokens for one attempt does so at once; later ones are of another attempt. */
const ATTEMPT_SECONDS = 600
/** So many OBF tokens for one pass within an attempt: the bot is knocking again and again. */
const KNOCKS = 3

function tooOld(facts: Facts): Finding | null {
  const join = lastMinted(facts, 'join')
  if (!join) return null
  const joinAt = facts.pass?.joinAt
  const early = joinAt ? secondsBetween(join.createdAt, joinAt) : 0
  if (early > JOIN_TOKEN_SECONDS)
    return likely(`The join token was fetched ${early} s before join_at, and lives ${JOIN_TOKEN_SECONDS} s.`)
  const beside = lastMinted(facts, 'obf') ?? lastMinted(facts, 'zak')
  const late = beside ? secondsBetween(join.createdAt, beside.createdAt) : 0
  if (late > JOIN_TOKEN_SECONDS)
    return likely(
      `The bot still fetched its ${beside?.kind} token ${late} s after the join token, which lives ${JOIN_TOKEN_SECONDS} s.`,
    )
  return possible(`When the bot used its join token cannot be seen; it lives ${JOIN_TOKEN_SECONDS} s.`)
}

function noBypass(facts: Facts): Finding | null {
  const kinds = facts.pass?.kinds
  if (kinds && !kinds.includes('join') && !kinds.includes('zak'))
    return likely(`The pass is for ${kinds.join(', ')} only; what skips the waiting room is the join token.`)
  if (!lastMinted(facts, 'join')) return null
  return possible('Latchkey always asks for bypass_waiting_room=true; a join token from elsewhere may lack it.')
}

function hostTokenMissing(facts: Facts): Finding | null {
  const join = lastMinted(facts, 'join')
  const { pass, host } = facts
  if (pass?.kinds.every((kind) => kind === 'join')) return likely('The pass is for the join token alone.')
  if (!join) return null
  const beside = [latest(facts, 'obf'), latest(facts, 'zak')].filter((mint) => mint !== undefined)
  const minted = beside.filter(({ outcome }) => outcome === 'minted')
  const [refused] = beside
  if (minted.length === 0 && refused)
    return certain(`The join token went out, the ${refused.kind} token did not: ${refused.outcome}.`)
  if (minted.length === 0) return likely('The bot fetched a join token, and neither an OBF token nor a ZAK.')
  const isHosts = minted.some(({ kind, hostId }) => kind === 'zak' || !host || hostId === host.id)
  return isHosts ? null : likely('The OBF token beside the join token is not the host’s own, but another user’s.')
}

function obfUserAbsent(facts: Facts): Finding | null {
  const newest = lastMinted(facts, 'obf')
  if (!newest) return null
  const knocks = facts.mints.filter(
    ({ kind, createdAt }) => kind === 'obf' && secondsBetween(createdAt, newest.createdAt) <= ATTEMPT_SECONDS,
  ).length
  if (knocks >= KNOCKS)
    return likely(
      `${knocks} OBF tokens within ${ATTEMPT_SECONDS / 60} minutes: the bot keeps knocking, as it does while that user is away.`,
    )
  return possible('Whether the user of the OBF token was in the meeting cannot be seen from here.')
}

const joinTokenShared = (facts: Facts): Finding | null =>
  lastMinted(facts, 'join')
    ? possible('A join token works once; whether a second bot was given the same one cannot be seen from here.')
    : null

function webinar(facts: Facts): Finding | null {
  const join = latest(facts, 'join')
  if (join?.outcome === 'webinar_unsupported') return certain('Zoom says that the number is a webinar.')
  if (join?.outcome !== 'minted') return null
  return possible('Zoom does not tell whether the meeting was end-to-end encrypted, or the bot in a breakout room.')
}

function zakNotTheHosts(facts: Facts): Finding | null {
  const zak = lastMinted(facts, 'zak')
  const { host } = facts
  if (zak && host && zak.hostId !== host.id)
    return likely('The ZAK that went out was of another user than the one whose meeting it is now.')
  if (zak || !lastMinted(facts, 'join')) return null
  return possible(
    'If the bot signs in with a ZAK from elsewhere, of a service account say, it waits like anybody else.',
  )
}

/** Tokens went out, and yet the bot waited. */
export const TOKEN_SUSPECTS: Suspect[] = [
  {
    cause: 'join_token_too_old',
    nextStep:
      'Let the bot fetch its own token just before it joins, and again at every attempt; never fetch it beforehand.',
    look: tooOld,
  },
  {
    cause: 'no_bypass',
    nextStep: 'Make a pass with join among its kinds, and give the bot the join token of that pass alone.',
    look: noBypass,
  },
  {
    cause: 'host_token_missing',
    nextStep:
      'Give the bot the host’s OBF token or ZAK beside the join token: kinds ["join","obf"] without on_behalf_of, and the whole of recall in Create Bot.',
    look: hostTokenMissing,
  },
  {
    cause: 'obf_user_absent',
    nextStep:
      'The user of the OBF token must be in the meeting, all of the time. Wait for them, name others in on_behalf_of, or use kind zak.',
    look: obfUserAbsent,
  },
  {
    cause: 'join_token_shared',
    nextStep: 'Give each bot a pass of its own, and let each bot fetch its own token.',
    look: joinTokenShared,
  },
  {
    cause: 'webinar_or_encrypted',
    nextStep:
      'There is none yet for webinars, nor for end-to-end encrypted meetings and breakout rooms: hold it as a plain meeting.',
    look: webinar,
  },
  {
    cause: 'zak_not_the_hosts',
    nextStep: 'Take the ZAK from a pass of kind zak: it is always of the host whom the meeting is mapped to.',
    look: zakNotTheHosts,
  },
]
