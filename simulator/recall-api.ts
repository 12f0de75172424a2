import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Mints } from './mints.ts'
import type { RecallCaller } from './recall.ts'
import type { ZoomReply } from './refusal.ts'
import type { State } from './state.ts'
import { randomToken } from './tokens.ts'
import { sendReply } from './wire.ts'
import { readRequest, type ZoomRequest } from './zoom-request.ts'

interface Bot {
  id: string
  status_changes: { code: string; created_at: string; sub_code: string | null }[]
}

type Kind = 'join' | 'obf' | 'zak' | 'access'

const botInput = z.object({
  meeting_url: z.string().regex(/\/j\/\d{9,12}/, 'expected a join link'),
  zoom: z
    .object({ join_token_url: z.url().optional(), obf_token_url: z.url().optional(), zak_url: z.url().optional() })
    .default({}),
})
const credentialInput = z.object({ oauth_app: z.string().min(1), access_token_callback_url: z.url() })

const KINDS = [
  ['join', 'join_token_url'],
  ['obf', 'obf_token_url'],
  ['zak', 'zak_url'],
] as const

const refused = (status: number, detail: string): ZoomReply => ({ status, body: { detail } })
const notFound = refused(404, 'Not found.')

/**
 * So much of Recall's own API as it takes to send a bot: it calls its URLs, joins the simulated meeting and says how it went. The
 * API key is the workspace's verification secret as well; any other key is that of a workspace without one, which signs nothing.
 */
export function createRecallApi({ state, mints, recall }: { state: State; mints: Mints; recall: RecallCaller }) {
  const bots = new Map<string, Bot>()

  async function callback(url: string, kind: Kind, key: string, bot: string): Promise<string | null> {
    const { recallSignedKinds, recallRetries, recallSharesIds } = state.modes
    const isSigned = key.startsWith('whsec_') && recallSignedKinds.includes(kind)
    for (let calls = 0; calls <= recallRetries; calls++) {
      const answer = await recall.call({
        url,
        ...(isSigned ? { secret: key } : {}),
        ...(recallSharesIds ? { bot } : {}),
      })
      if (answer.status === 200) return answer.body
    }
    return null
  }

  /** As a bot goes: the join token first, then the others; without an OBF token or ZAK it was promised, it fails. */
  async function run(bot: Bot, meetingId: string, zoom: z.output<typeof botInput>['zoom'], key: string): Promise<void> {
    const note = (code: string, subCode: string | null = null) =>
      bot.status_changes.push({ code, created_at: new Date().toISOString(), sub_code: subCode })
    const tokens: Partial<Record<Kind, string>> = {}
    note('joining_call')
    for (const [kind, field] of KINDS) {
      const url = zoom[field]
      const token = url && (await callback(url, kind, key, bot.id))
      if (token) tokens[kind] = token
      else if (url && kind !== 'join') return void note('fatal', `zoom_${kind}_failed`)
    }
    const { join, obf, zak } = tokens
    const result = mints.join({ meeting_id: meetingId, token: join, on_behalf_token: obf, zak })
    if (!result.joined) return void note('fatal', 'zoom_invalid_join_token')
    if (!result.skips_waiting_room) return void note('in_waiting_room')
    note('in_call_recording')
  }

  function createBot({ body }: ZoomRequest, key: string): ZoomReply {
    const input = botInput.safeParse(parsed(body))
    const meetingId = /\/j\/(\d{9,12})/.exec(input.data?.meeting_url ?? '')?.[1]
    if (!input.success || !meetingId) return refused(400, 'Not a valid bot.')
    const bot: Bot = { id: randomToken(16), status_changes: [] }
    bots.set(bot.id, bot)
    run(bot, meetingId, input.data.zoom, key).catch(() => undefined) // it ended with the simulator
    return { status: 201, body: bot }
  }

  async function createCredential({ body }: ZoomRequest, key: string): Promise<ZoomReply> {
    const input = credentialInput.safeParse(parsed(body))
    if (!input.success) return refused(400, 'Not a valid credential.')
    const id = randomToken(16)
    const token = await callback(input.data.access_token_callback_url, 'access', key, id)
    return token ? { status: 201, body: { id, status: 'healthy' } } : refused(400, 'The callback gave no access token.')
  }

  function leave(id: string): ZoomReply {
    const bot = bots.get(id)
    if (!bot) return notFound
    bot.status_changes.push({
      code: 'call_ended',
      created_at: new Date().toISOString(),
      sub_code: 'bot_received_leave_call',
    })
    return { status: 200, body: {} }
  }

  async function answer(request: ZoomRequest): Promise<ZoomReply> {
    const key = /^(?:Token )?(\S+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (!key) return refused(401, 'authentication_failed')
    const [, , object, id = '', act = ''] = request.segments
    const call = `${request.method} ${object}${id && '/id'}${act && `/${act}`}`
    if (call === 'POST bot') return createBot(request, key)
    if (call === 'GET bot/id') return bots.has(id) ? { status: 200, body: bots.get(id) } : notFound
    if (call === 'POST bot/id/leave_call') return leave(id)
    if (call === 'POST zoom-oauth-credentials') return await createCredential(request, key)
    return call === 'DELETE zoom-oauth-credentials/id' ? { status: 204, body: null } : notFound
  }

  return {
    /** Answers one request under /api/v1 or /api/v2. */
    async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
      sendReply(response, await answer(await readRequest(incoming)))
    },
    clear: () => bots.clear(),
  }
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return null
  }
}
