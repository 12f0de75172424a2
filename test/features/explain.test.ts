import { afterAll, describe, expect, test } from 'vitest'
import { startTestApp } from '../helpers/app.ts'
import { rows } from '../helpers/connect.ts'
import { newNumber, newScene } from '../helpers/explain.ts'
import { outcomeOf, seedHost, seedOrganization } from '../helpers/management.ts'

const t = await startTestApp()
afterAll(() => t.stop())

/** Moves a pass's newest mint of a kind into the past. */
const age = (passId: string, kind: string, seconds: number) =>
  rows(
    t,
    `UPDATE mints SET created_at = created_at - $3 * interval '1 s'
      WHERE id = (SELECT id FROM mints WHERE pass_id = $1 AND kind = $2 ORDER BY id DESC LIMIT 1)`,
    [passId, kind, seconds],
  )

/** Zoom cannot be asked with this host's grant whose a meeting is. */
const withoutLookUp = (hostId: string) =>
  rows(
    t,
    `UPDATE grants SET scopes = array_remove(scopes, 'meeting:read:meeting')
      WHERE id = (SELECT grant_id FROM hosts WHERE id = $1)`,
    [hostId],
  )

describe('explain names the planted cause', () => {
  test('1: an instant meeting that nobody mapped, and his personal room as such', async () => {
    const { pass, first, ask, alice } = await newScene(t)
    await withoutLookUp(alice.id)
    const instant = await pass({ meeting: newNumber(), host: undefined })
    await t.bot(instant.join_token_url)
    expect(await first(instant.id)).toBe('certain meeting_not_mapped')
    const room = await pass({ meeting: alice.pmi, host: undefined })
    await t.bot(room.join_token_url)
    const [cause] = (await ask(`passes/${room.id}`)).causes
    expect(cause?.why).toContain(`the personal room of "${alice.externalUserId}"`)
  })

  test('1: a meeting of somebody who never connected, and that Zoom was asked in vain', async () => {
    const { pass, ask } = await newScene(t)
    const email = `${newNumber()}@example.com`
    const meeting = newNumber()
    t.zoom.addUser({ email })
    t.zoom.addMeeting({ id: meeting, host: email })
    const invited = await pass({ meeting, host: undefined })
    await t.bot(invited.join_token_url)
    const [cause] = (await ask(`passes/${invited.id}`)).causes
    expect(cause).toMatchObject({ cause: 'meeting_not_mapped', likelihood: 'certain' })
    expect(cause?.why).toContain('Zoom was asked')
  })

  test('1: a meeting that was mapped only after the bot had asked', async () => {
    const { pass, first, call, meeting, alice } = await newScene(t)
    await withoutLookUp(alice.id)
    const early = await pass({ host: undefined })
    await t.bot(early.join_token_url)
    await call('PUT', `/v1/meetings/${meeting}`, { host_id: alice.id })
    expect(await first(early.id)).toBe('likely meeting_not_mapped')
  })

  test('2: a join token fetched long before the bot joined', async () => {
    const { pass, first } = await newScene(t)
    const before = await pass({ join_at: new Date(Date.now() + 600_000).toISOString() })
    await t.bot(before.join_token_url)
    await t.bot(before.obf_token_url)
    expect(await first(before.id)).toBe('likely join_token_too_old')
    const waited = await pass()
    await t.bot(waited.join_token_url)
    await t.services.ledger.flush()
    await age(waited.id, 'join', 180)
    await t.bot(waited.obf_token_url)
    expect(await first(waited.id)).toBe('likely join_token_too_old')
  })

  test('3: a pass without a token that skips the waiting room; Latchkey’s own always asks for it', async () => {
    const { pass, first, ask } = await newScene(t)
    const obf = await pass({ kinds: ['obf'] })
    await t.bot(obf.obf_token_url)
    expect(await first(obf.id)).toBe('likely no_bypass')
    const whole = await pass()
    await t.bot(whole.join_token_url)
    const found = (await ask(`passes/${whole.id}`)).causes.find(({ cause }) => cause === 'no_bypass')
    expect(found?.likelihood).toBe('possible')
  })

  test('4: a meeting mapped to a user who does not host it', async () => {
    const { pass, first, connect, ask } = await newScene(t)
    const assistant = await connect()
    const wrong = await pass({ host: { external_user_id: assistant.externalUserId } })
    t.zoom.setModes({ nonHostCode: 1010 })
    await t.bot(wrong.join_token_url)
    t.zoom.setModes({ nonHostCode: 3001 })
    expect(await first(wrong.id)).toBe('certain not_the_host')
    expect((await ask(`passes/${wrong.id}`)).mints[0]).toMatchObject({ outcome: 'not_the_host', zoom_code: 1010 })
  })

  test('5: local recording switched off, by Zoom’s refusal and by the settings alone', async () => {
    const { pass, first, alice, ask } = await newScene(t)
    t.zoom.addUser({ email: alice.email, local_recording: false })
    const refused = await pass()
    expect((await ask(`passes/${refused.id}`)).settings).toMatchObject({ reason: null, local_recording: false })
    expect((await ask(`passes/${refused.id}`)).causes.map(({ cause }) => cause)).toContain('local_recording_off')
    await t.bot(refused.join_token_url)
    expect(await first(refused.id)).toBe('certain local_recording_off')
  })

  test('6: a join token alone, or beside the OBF token of another user', async () => {
    const { pass, first, connect } = await newScene(t)
    const alone = await pass({ kinds: ['join'] })
    await t.bot(alone.join_token_url)
    expect(await first(alone.id)).toBe('likely host_token_missing')
    const bob = await connect()
    const others = await pass({ on_behalf_of: { external_user_id: bob.externalUserId } })
    await t.bot(others.join_token_url)
    await t.bot(others.obf_token_url)
    expect(await first(others.id)).toBe('likely host_token_missing')
  })

  test('7: a bot that keeps knocking for a user who is not in the meeting', async () => {
    const { pass, first } = await newScene(t)
    const knocking = await pass()
    await t.bot(knocking.join_token_url)
    for (let tries = 0; tries < 3; tries++) await t.bot(knocking.obf_token_url)
    expect(await first(knocking.id)).toBe('likely obf_user_absent')
  })

  test('8: a join token given to a second bot leaves no trace here, and is named as possible, after all that does', async () => {
    const { pass, ask } = await newScene(t)
    const shared = await pass()
    await t.bot(shared.join_token_url)
    await t.bot(shared.obf_token_url)
    const { causes } = await ask(`passes/${shared.id}`)
    expect(causes.map(({ cause }) => cause)).toContain('join_token_shared')
    expect(causes.every(({ likelihood }) => likelihood === 'possible')).toBe(true)
  })

  test('9: the number of a webinar', async () => {
    const { pass, first, meeting, alice } = await newScene(t)
    t.zoom.addMeeting({ id: meeting, host: alice.email, kind: 'webinar' })
    const webinar = await pass()
    await t.bot(webinar.join_token_url)
    expect(await first(webinar.id)).toBe('certain webinar_or_encrypted')
  })

  test('10: a ZAK of somebody who is not the host any more', async () => {
    const { pass, first, call, connect, meeting, alice } = await newScene(t)
    const service = await connect()
    const zak = await pass({ kinds: ['join', 'zak'], host: { external_user_id: service.externalUserId } })
    await t.bot(zak.zak_token_url)
    await call('PUT', `/v1/meetings/${meeting}`, { host_id: alice.id })
    await t.bot(zak.join_token_url)
    expect(await first(zak.id)).toBe('likely zak_not_the_hosts')
  })
})

describe('an explanation', () => {
  test('tells whose meeting it is and by which rule, the state of the grant, Zoom’s settings and what Zoom answered', async () => {
    const { pass, ask, alice, meeting } = await newScene(t)
    const { id, join_token_url: url } = await pass()
    await t.bot(url)
    expect(await ask(`passes/${id}`)).toMatchObject({
      meeting_id: meeting,
      pass: { id, kinds: ['join', 'obf'] },
      mapping: { host_id: alice.id, source: 'api', replaced: null, rule: expect.stringContaining('You said so') },
      personal_room_of: null,
      host: { id: alice.id, external_user_id: alice.externalUserId, status: 'connected', missing_scopes: [] },
      organization: null,
      settings: { reason: null, local_recording: true, waiting_room: true, join_before_host: false },
      mints: [{ kind: 'join', outcome: 'minted', host_id: alice.id, pass_id: id }],
    })
  })

  test('of a meeting is of all its passes, and shows the last ten mints', async () => {
    const { pass, ask, meeting } = await newScene(t)
    const [one, other] = [await pass(), await pass()]
    for (let tries = 0; tries < 6; tries++) for (const each of [one, other]) await t.bot(each.join_token_url)
    const { mints } = (await ask(`meetings/${meeting}`)) as unknown as { mints: { pass_id: string }[] }
    expect(mints).toHaveLength(10)
    expect(new Set(mints.map(({ pass_id }) => pass_id))).toEqual(new Set([one.id, other.id]))
  })

  test('of a meeting is about the bot that came last, whatever other bots of it fetched', async () => {
    const { pass, ask, meeting } = await newScene(t)
    const others = [await pass(), await pass(), await pass()]
    for (const { obf_token_url: url } of others) await t.bot(url)
    const last = await pass({ kinds: ['join'] })
    await t.bot(last.join_token_url)
    const { pass: shown, causes } = await ask(`meetings/${meeting}`)
    expect(shown).toMatchObject({ id: last.id })
    expect(causes[0]).toMatchObject({ cause: 'host_token_missing', likelihood: 'likely' })
    expect(causes.map(({ cause }) => cause)).not.toContain('obf_user_absent')
  })

  test('of a meeting that no bot asked for is about its newest pass; once that is revoked the mapping is left', async () => {
    const { pass, ask, meeting, call } = await newScene(t)
    const { id } = await pass()
    expect(await ask(`meetings/${meeting}`)).toMatchObject({ pass: { id }, causes: [{ cause: 'bot_did_not_ask' }] })
    await call('DELETE', `/v1/passes/${id}`)
    expect(await ask(`meetings/${meeting}`)).toMatchObject({ pass: null, mapping: { source: 'api' } })
    expect(outcomeOf(await call('GET', `/v1/passes/${id}/explain`))).toEqual([404, 'not_found'])
  })

  test('names the organization that stands in for a host who must connect again', async () => {
    const { pass, ask, alice, id: tenantId } = await newScene(t)
    const [row] = await rows<{ account: string }>(
      t,
      'SELECT zoom_account_id AS account FROM host_states WHERE id = $1',
      [alice.id],
    )
    const { id } = await pass()
    const { id: organizationId } = await seedOrganization(t, tenantId, String(row?.account))
    await rows(
      t,
      `UPDATE grant_tokens SET status = 'reconnect_required', status_reason = 'expired'
        WHERE grant_id = (SELECT grant_id FROM hosts WHERE id = $1)`,
      [alice.id],
    )
    expect(await ask(`passes/${id}`)).toMatchObject({
      host: { status: 'reconnect_required', status_reason: 'expired' },
      organization: { id: organizationId, status: 'connected' },
      settings: { reason: 'host_not_connected' },
      causes: [{ cause: 'bot_did_not_ask' }, { cause: 'host_not_connected', likelihood: 'likely' }],
    })
  })

  test('tells what the mapping took the place of', async () => {
    const { pass, ask, connect, meeting, alice } = await newScene(t)
    await pass()
    const bob = await connect()
    await pass({ host: { external_user_id: bob.externalUserId } })
    expect((await ask(`meetings/${meeting}`)).mapping).toMatchObject({
      host_id: bob.id,
      replaced: { source: 'api', host_id: alice.id },
    })
  })

  test('says that the settings are unknown where Zoom does not answer, and is there within its deadline', async () => {
    const { pass, ask, alice } = await newScene(t)
    const { id } = await pass()
    const fault = t.zoom.setFault({
      match: { path: '/v2/users/me/settings', user_id: alice.email },
      action: { type: 'hang' },
    } as never)
    const start = performance.now()
    expect((await ask(`passes/${id}`)).settings).toMatchObject({ reason: 'no_answer', local_recording: null })
    expect(performance.now() - start).toBeLessThan(3500)
    expect(fault).toBeDefined()
    t.zoom.clearFaults()
  })

  test('asks Zoom once a minute for the settings of a host, however often it is asked, and never for the want of the scope', async () => {
    const { pass, ask, alice, id: tenantId, headers } = await newScene(t)
    const { id } = await pass()
    await Promise.all([1, 2, 3].map(() => ask(`passes/${id}`)))
    await ask(`passes/${id}`)
    expect(t.zoom.log({ path: '/v2/users/me/settings', user_id: alice.email })).toHaveLength(1)
    const before = t.zoom.log().length
    const poor = await seedHost(t, tenantId, 'poor', { scopes: ['user:read:token'] })
    const other = await t.createPass({ meeting: newNumber(), host: { host_id: poor.id } }, headers)
    expect((await ask(`passes/${other.id}`)).settings).toMatchObject({ reason: 'missing_scope' })
    expect(t.zoom.log().length - before).toBe(0)
  })

  test('spends no rotation where Zoom refuses the access token that it asks with', async () => {
    const { pass, ask, alice } = await newScene(t)
    const { id } = await pass()
    t.zoom.expireAccessTokens(alice.email)
    expect((await ask(`passes/${id}`)).settings).toMatchObject({ reason: 'no_answer' })
    expect(t.zoom.log({ grant_type: 'refresh_token', user_id: alice.email })).toEqual([])
  })

  test('of a pass for an access token is about its user alone', async () => {
    const { headers, alice, ask } = await newScene(t)
    const body = { kinds: ['access'], host: { external_user_id: alice.externalUserId } }
    const { id } = await t.createPass(body, headers)
    expect(await ask(`passes/${id}`)).toMatchObject({ meeting_id: null, mapping: null, host: { id: alice.id } })
  })
})
