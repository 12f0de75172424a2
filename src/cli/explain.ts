import { explanationOf } from '../features/explain/shape.ts'
import { type Env, type Say, withServices } from './with-services.ts'

export interface ExplainOptions {
  tenant?: string | undefined
  json?: boolean | undefined
}

type Explained = ReturnType<typeof explanationOf>

const LABEL_WIDTH = 14
const KIND_WIDTH = 6

/**
 * Says why a bot did not skip the waiting room, of a pass or of a meeting as somebody pasted it.
 * @throws StartError for pending migrations, invalid_request, not_found, store_unavailable
 */
export async function explain(env: Env, reference: string, { tenant, json }: ExplainOptions, say: Say): Promise<void> {
  await withServices(env, async ({ services }) => {
    await services.installation.refresh() // in a copy of another installation's database nothing is renewed to ask Zoom
    const tenantId = await services.tenants.resolve(tenant)
    const explained = explanationOf(await services.explain.explainReference(tenantId, reference))
    if (json) say(JSON.stringify(explained))
    else for (const line of report(explained)) say(line)
  })
}

function report(explained: Explained): string[] {
  const { causes } = explained
  const seen = causes.filter(({ likelihood }) => likelihood !== 'possible')
  const unseen = causes.filter(({ likelihood }) => likelihood === 'possible')
  return [
    ...field('Meeting', meetingLines(explained)),
    ...(explained.pass ? field('Pass', passLines(explained.pass)) : []),
    ...field('Whose it is', mappingLines(explained)),
    ...field('Host', hostLines(explained)),
    ...field('Settings', [settingsLine(explained.settings)]),
    ...field('Last mints', mintLines(explained.mints)),
    '',
    ...(seen.length > 0
      ? ['Why the bot did not skip the waiting room:']
      : ['Nothing that is known here kept the bot out.']),
    ...seen.flatMap(causeLines),
    ...(unseen.length > 0 ? ['', 'Possible, and not to be seen from here:'] : []),
    ...unseen.flatMap(causeLines),
  ]
}

const field = (label: string, lines: string[]): string[] =>
  lines.map((line, index) => `${(index === 0 ? label : '').padEnd(LABEL_WIDTH)}${line}`)

const nameOf = (externalUserId: string) => JSON.stringify(externalUserId)

const meetingLines = ({ meeting_id, personal_room_of }: Explained): string[] => [
  meeting_id ?? 'none: the pass is for an access token',
  ...(personal_room_of === null ? [] : [`the personal room of ${nameOf(personal_room_of)}`]),
]

function passLines({ id, kinds, on_behalf_of, join_at, expires_at }: NonNullable<Explained['pass']>): string[] {
  const behalf = on_behalf_of.map(
    ({ external_user_id, status }) => `${nameOf(external_user_id)} (${status ?? 'not connected'})`,
  )
  return [
    `${id}  for ${kinds.join(', ')}`,
    `join_at ${join_at ?? 'not given'}, expires ${expires_at}`,
    ...(behalf.length > 0 ? [`on behalf of ${behalf.join(', ')}`] : []),
  ]
}

function mappingLines({ mapping }: Explained): string[] {
  if (!mapping) return ['not known']
  const { external_user_id, organization_id, source, observed_at, rule, replaced } = mapping
  const owner = external_user_id === null ? `the organization ${organization_id}` : nameOf(external_user_id)
  const former = replaced && (replaced.host_id ?? replaced.organization_id ?? 'somebody who is not connected any more')
  return [
    `${owner}, source ${source}, as of ${observed_at}`,
    rule,
    ...(replaced ? [`before: ${former}, source ${replaced.source}, as of ${replaced.observed_at}`] : []),
  ]
}

function grantLine(grant: NonNullable<Explained['organization']>): string {
  const missing = grant.missing_scopes.length > 0 ? `; missing scopes: ${grant.missing_scopes.join(', ')}` : ''
  const reason = grant.status_reason === null ? '' : ` (${grant.status_reason})`
  return `${grant.status}${reason}${missing}`
}

function hostLines({ host, mapping, organization }: Explained): string[] {
  const nobody = mapping?.external_user_id ? 'not connected' : 'none known'
  return [
    host ? `${nameOf(host.external_user_id)}  ${host.id}  ${grantLine(host)}` : nobody,
    ...(host ? [`scopes: ${host.scopes.join(', ') || 'none'}`] : []),
    ...(organization ? [`organization ${organization.id}  ${grantLine(organization)}`] : []),
  ]
}

function settingsLine(settings: Explained['settings']): string {
  if (settings.reason !== null) return `unknown: ${settings.reason.replaceAll('_', ' ')}`
  const word = (value: boolean | null) => (value === null ? 'unknown' : value ? 'on' : 'off')
  return `local recording ${word(settings.local_recording)}, waiting room ${word(settings.waiting_room)}, join before host ${word(settings.join_before_host)}`
}

function outcomeOf({ outcome, reason, zoom_status, zoom_code }: Explained['mints'][number]): string {
  const zoom = [zoom_status, zoom_code].filter((part) => part !== null).join('/')
  return [outcome, ...(reason === null ? [] : [reason]), ...(zoom === '' ? [] : [`Zoom ${zoom}`])].join(', ')
}

function mintLines(mints: Explained['mints']): string[] {
  if (mints.length === 0) return ['none']
  const width = Math.max(...mints.map((mint) => outcomeOf(mint).length))
  return mints.map((mint) => {
    const { created_at, kind, request_id } = mint
    return `${created_at}  ${kind.padEnd(KIND_WIDTH)}  ${outcomeOf(mint).padEnd(width)}  request ${request_id}`
  })
}

const causeLines = ({ cause, likelihood, why, next_step }: Explained['causes'][number]): string[] => [
  `  ${cause}${likelihood === 'possible' ? '' : ` (${likelihood})`}`,
  `    ${why}`,
  `    Next: ${next_step}`,
]
