import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import type { FactId, Notebook } from './facts.ts'
import { createJsonClient, type JsonClient } from './json-client.ts'
import type { Settings } from './settings.ts'

interface Mint {
  kind: string
  outcome: string
  reason: string | null
}

interface Visit {
  settings: Settings
  notebook: Notebook
  latchkey: JsonClient
  recall: JsonClient
  hostId: string
  meetingUrl: string
  meeting: string
}

const OF_BOTS: FactId[] = [
  'recall_signed_per_kind',
  'recall_calls_per_kind',
  'recall_id_reuse',
  'recall_retry_after_404',
  'recall_bot_after_refused_join_token',
]
const POLL_MS = 1000
const UNSIGNED = ['signature_missing', 'signature_mismatch', 'no_secret_configured']

async function created({ latchkey }: Visit, body: object) {
  const answer = await latchkey('POST', '/v1/passes', body)
  if (answer.status !== 201) throw new Error(`Latchkey made no pass: ${answer.status} ${answer.body?.code}`)
  return answer.body
}

async function mintsOf({ latchkey }: Visit, passId: string): Promise<Mint[]> {
  const answer = await latchkey('GET', `/v1/mints?pass_id=${passId}&limit=200`)
  if (answer.status !== 200) throw new Error(`Latchkey shows no mints: ${answer.status} ${answer.body?.code}`)
  return answer.body.data
}

async function launch({ recall, meetingUrl }: Visit, zoom: object, metadata: object): Promise<string> {
  const body = { meeting_url: meetingUrl, bot_name: 'Latchkey verification', zoom, metadata }
  const answer = await recall('POST', '/api/v1/bot/', body)
  if (answer.status !== 201) throw new Error(`Recall launched no bot: ${answer.status}`)
  return String(answer.body.id)
}

/** Recall's codes of the bot's life so far, in order. Codes are an open set of its own, and hold nothing of ours. */
async function codesOf({ recall }: Visit, botId: string): Promise<string[]> {
  const { body } = await recall('GET', `/api/v1/bot/${botId}/`)
  const changes: { code: string; sub_code?: string | null }[] = body?.status_changes ?? []
  return changes.map(({ code, sub_code }) => (sub_code ? `${code}:${sub_code}` : code))
}

const isOver = (codes: string[]) => codes.some((code) => /^(done|fatal|call_ended)\b/.test(code))

/** Until the bot is gone, or the time is up: one in a meeting may still call. Then it is asked to leave. */
async function watch(visit: Visit, botId: string): Promise<string[]> {
  const { settings, recall } = visit
  const endMs = performance.now() + settings.VERIFY_BOT_SECONDS * 1000
  try {
    for (;;) {
      await sleep(POLL_MS)
      const codes = await codesOf(visit, botId)
      if (isOver(codes) || performance.now() > endMs) return codes
    }
  } finally {
    await recall('POST', `/api/v1/bot/${botId}/leave_call/`, {})
  }
}

const count = (mints: Mint[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { kind } of mints) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}
const isUnsigned = ({ outcome, reason }: Mint) => outcome === 'unauthenticated' && UNSIGNED.includes(reason ?? '')

function signatures({ notebook }: Visit, id: FactId, mints: Mint[]): void {
  const unsigned = mints.filter(isUnsigned)
  const reasons = [...new Set(unsigned.map(({ reason }) => reason))]
  const seen = { calls: count(mints), refused: count(unsigned), reasons }
  if (mints.length === 0) notebook.unseen([id], 'nobody called: does PUBLIC_BASE_URL lead here from outside?')
  else if (unsigned.length === 0) notebook.pass(id, true, seen)
  else notebook.fail(id, 'requests came that no secret of the workspace had signed', seen)
}

/** Ids stand in the database alone, and there for about eleven minutes. */
async function idsOf(databaseUrl: string, passId: string): Promise<number> {
  const db = new Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000, query_timeout: 10_000 })
  await db.connect()
  try {
    const bound = 'SELECT count(*)::int AS ids FROM seen_webhook_ids WHERE bound_to = $1'
    return (await db.query(bound, [`pass:${passId}`])).rows[0].ids
  } finally {
    await db.end()
  }
}

async function ids({ notebook, settings }: Visit, passId: string, mints: Mint[]): Promise<void> {
  const elsewhere = mints.filter(({ reason }) => reason === 'webhook_id_reused')
  if (elsewhere.length > 0)
    return notebook.fail('recall_id_reuse', 'an id came that another pass had before', { refused: count(elsewhere) })
  const requests = mints.filter(({ outcome }) => outcome !== 'unauthenticated').length
  const { VERIFY_DATABASE_URL: databaseUrl } = settings
  if (!databaseUrl || requests < 2) {
    const reason = databaseUrl ? 'a bot has to call twice for it' : 'give VERIFY_DATABASE_URL: no answer shows ids'
    return notebook.unseen(['recall_id_reuse'], reason)
  }
  notebook.pass('recall_id_reuse', true, { requests, distinct_ids: await idsOf(databaseUrl, passId) })
}

function afterRefusal({ notebook }: Visit, mints: Mint[], codes: string[]): void {
  const refused = mints.filter(({ outcome }) => outcome === 'meeting_not_mapped')
  if (refused.length === 0) {
    notebook.unseen(['recall_retry_after_404', 'recall_bot_after_refused_join_token'], 'no such call was seen')
    return
  }
  notebook.pass('recall_retry_after_404', true, { calls: refused.length })
  notebook.pass('recall_bot_after_refused_join_token', true, { bot: codes })
}

/** Sends one bot with the URLs of one pass; gives Recall's codes of its life, and the pass's mints. */
async function send(visit: Visit, pass: object): Promise<{ passId: string; codes: string[]; mints: Mint[] }> {
  const { id: passId, recall } = await created(visit, { meeting: visit.meeting, kinds: ['join', 'obf'], ...pass })
  try {
    const botId = await launch(visit, recall.zoom, recall.metadata)
    const codes = await watch(visit, botId)
    return { passId, codes, mints: await mintsOf(visit, passId) }
  } finally {
    await visit.latchkey('DELETE', `/v1/passes/${passId}`)
  }
}

/** A bot whose meeting is mapped to nobody: its join token is 404, its OBF token is there. The mapping is put back. */
async function sendWithoutMapping(visit: Visit) {
  const { latchkey, meeting, hostId } = visit
  await latchkey('DELETE', `/v1/meetings/${meeting}`)
  try {
    return await send(visit, { on_behalf_of: { host_id: hostId } })
  } finally {
    await latchkey('PUT', `/v1/meetings/${meeting}`, { host_id: hostId })
  }
}

async function seeBots(visit: Visit): Promise<void> {
  const { notebook, hostId } = visit
  const good = await send(visit, { host: { host_id: hostId } })
  if (good.mints.length > 0) notebook.pass('recall_calls_per_kind', true, { calls: count(good.mints) })
  await ids(visit, good.passId, good.mints)
  const refused = await sendWithoutMapping(visit)
  signatures(visit, 'recall_signed_per_kind', [...good.mints, ...refused.mints])
  afterRefusal(visit, refused.mints, refused.codes)
  notebook.unseen(['recall_calls_per_kind'], 'nobody called')
}

async function seeAccessCallback(visit: Visit): Promise<void> {
  const { notebook, settings, recall, latchkey, hostId } = visit
  const { VERIFY_RECALL_OAUTH_APP: app } = settings
  if (!app) return notebook.unseen(['recall_access_callback_signed'], 'give VERIFY_RECALL_OAUTH_APP')
  const pass = await created(visit, { kinds: ['access'], host: { host_id: hostId } })
  try {
    const answer = await recall('POST', '/api/v2/zoom-oauth-credentials/', { oauth_app: app, ...pass.recall })
    await sleep(POLL_MS) // outcomes reach the ledger within a second
    signatures(visit, 'recall_access_callback_signed', await mintsOf(visit, pass.id))
    if (answer.body?.id) await recall('DELETE', `/api/v2/zoom-oauth-credentials/${answer.body.id}/`)
  } finally {
    await latchkey('DELETE', `/v1/passes/${pass.id}`)
  }
}

async function attempt({ notebook }: Visit, ids: FactId[], see: () => Promise<void>): Promise<void> {
  try {
    await see()
  } catch (error) {
    notebook.unseen(ids, error instanceof Error ? error.message : 'it failed')
  }
}

/** What Recall's bots show of themselves in the ledger of a running Latchkey. */
export async function seeRecall(settings: Settings, notebook: Notebook, latchkey: JsonClient | null): Promise<void> {
  const { VERIFY_HOST_ID: hostId, VERIFY_RECALL_API_KEY: apiKey, VERIFY_RECALL_BASE_URL: baseUrl } = settings
  const { VERIFY_MEETING: meeting = '', VERIFY_MEETING_URL: meetingUrl = '' } = settings
  if (!latchkey || !hostId || !apiKey)
    return notebook.unseen(
      [...OF_BOTS, 'recall_access_callback_signed'],
      'give VERIFY_RECALL_API_KEY, and VERIFY_LATCHKEY_KEY and VERIFY_HOST_ID of a Latchkey that Recall can reach',
    )
  const recall = createJsonClient(baseUrl, `Token ${apiKey}`)
  const visit = { settings, notebook, latchkey, recall, hostId, meeting, meetingUrl }
  if (meeting && meetingUrl) await attempt(visit, OF_BOTS, () => seeBots(visit))
  else notebook.unseen(OF_BOTS, 'give VERIFY_MEETING and VERIFY_MEETING_URL, a link to that meeting')
  await attempt(visit, ['recall_access_callback_signed'], () => seeAccessCallback(visit))
}
