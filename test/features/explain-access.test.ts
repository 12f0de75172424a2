import { afterAll, expect, test } from 'vitest'
import { uuidv7 } from '../../src/lib/ids.ts'
import { startTestApp } from '../helpers/app.ts'
import { newNumber, newScene } from '../helpers/explain.ts'
import { newKey, outcomeOf, refusalOf } from '../helpers/management.ts'

const t = await startTestApp()
afterAll(() => t.stop())

test('an explanation holds no token, no pass URL, no address and no name', async () => {
  const { pass, call, alice, meeting } = await newScene(t)
  const made = await pass({ kinds: ['join', 'obf'] })
  const tokens = [(await t.bot(made.join_token_url)).body, (await t.bot(made.obf_token_url)).body]
  await t.services.ledger.flush()
  const secret = new URL(made.join_token_url).searchParams.get('pass') as string
  for (const path of [`passes/${made.id}`, `meetings/${meeting}`]) {
    const { body } = await call('GET', `/v1/${path}/explain`)
    for (const hidden of [...tokens, secret, '?pass=', alice.email, 'display_name']) expect(body).not.toContain(hidden)
  }
})

test('an explanation of another tenant’s pass or meeting is not there, as of one that nobody has', async () => {
  const [owner, stranger] = [await newScene(t), await newScene(t)]
  const { id } = await owner.pass()
  const ask = async (path: string) => refusalOf(await stranger.call('GET', `/v1/${path}/explain`))
  expect(await ask(`passes/${id}`)).toEqual(await ask(`passes/${uuidv7()}`))
  expect(await ask(`meetings/${owner.meeting}`)).toEqual(await ask(`meetings/${newNumber()}`))
  expect((await ask(`meetings/${owner.meeting}`))[0]).toBe(404)
})

test('an explanation needs meetings:read, and a number or id that is one', async () => {
  const { id: tenantId, call } = await newScene(t)
  const key = await newKey(t, tenantId, ['mints:read', 'passes:write'])
  for (const path of [`passes/${uuidv7()}`, 'meetings/111111111'])
    expect(outcomeOf(await t.api('GET', `/v1/${path}/explain`, { key }))).toEqual([403, 'forbidden'])
  for (const path of ['passes/1', 'meetings/12345', 'meetings/..%2Fusers'])
    expect(outcomeOf(await call('GET', `/v1/${path}/explain`))).toEqual([400, 'invalid_request'])
  expect(outcomeOf(await t.app.inject({ url: '/v1/meetings/111111111/explain' }))).toEqual([401, 'unauthenticated'])
})
