import { expect, test } from 'vitest'
import { buildTestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'

const MEETING = '85996249517'

test('requests that are opened by one statement keep to themselves: each its pass, its turn, its refusal', async () => {
  const t = await buildTestApp()
  await t.connectHost('user-1', 'host@example.com')
  const make = (kinds = ['join', 'obf']) =>
    t.createPass({ meeting: MEETING, host: { external_user_id: 'user-1' }, kinds })
  const [good, revoked, joinOnly, other] = await Promise.all([make(), make(), make(['join']), make()])
  const first = await Promise.all([good, revoked, joinOnly, other].map((pass) => t.bot(pass.join_token_url)))
  expect(first.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200])
  await t.api('DELETE', `/v1/passes/${revoked.id}`)

  const answers = await Promise.all([
    ...Array.from({ length: 8 }, () => t.bot(good.join_token_url)),
    t.bot(revoked.join_token_url),
    t.bot(joinOnly.join_token_url.replace('join-token', 'obf-token')),
    t.bot(good.join_token_url, { id: 'msg_shared' }),
    t.bot(good.obf_token_url, { id: 'msg_shared' }),
  ])
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([...Array(8).fill(200), 401, 403, 200, 200])
  const clash = await Promise.all([
    t.bot(good.join_token_url, { id: 'msg_clash' }),
    t.bot(other.join_token_url, { id: 'msg_clash' }),
  ])
  expect(clash.map(({ statusCode }) => statusCode).sort()).toEqual([200, 403])
  const counted = await rows(t, 'SELECT window_mints AS mints FROM passes WHERE id = $1', [good.id])
  expect(counted).toEqual([{ mints: 1 + 8 + 2 + 1 }])
})

test('values of one request that Postgres refuses are that request’s trouble, not that of those beside it', async () => {
  const t = await buildTestApp()
  const pass = await t.createPass({ meeting: MEETING, host: { external_user_id: 'user-1' } })
  const open = (passId: string, webhookId: string) =>
    t.services.ledger.open({ passId, kind: 'join', webhookId, secretId: null, requestId: webhookId })
  const outcomes = await Promise.allSettled([
    open(pass.id, 'msg_1'),
    open(pass.id, 'msg_with\0a null byte'),
    open(pass.id, 'msg_3'),
  ])
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(await rows(t, 'SELECT id FROM mints WHERE pass_id = $1', [pass.id])).toHaveLength(2)
})

test('a refused authentication is counted, and is no mint of no duration', async () => {
  const t = await buildTestApp()
  const pass = await t.createPass({ meeting: MEETING, host: { external_user_id: 'user-1' } })
  const stranger = `whsec_${Buffer.alloc(32).toString('base64')}`
  expect((await t.bot(pass.join_token_url, { secrets: [stranger] })).statusCode).toBe(401)
  const text = await t.metrics.registry.metrics()
  expect(text).toContain('latchkey_mints_total{kind="join",outcome="unauthenticated"} 1\n')
  expect(text).not.toContain('latchkey_mint_duration_seconds_count{kind="join"}')
})
