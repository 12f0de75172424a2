import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { accountWorld } from '../helpers/account.ts'
import { startTestApp } from '../helpers/app.ts'
import { newTenant, rows } from '../helpers/connect.ts'
import { newNumber } from '../helpers/meeting-events.ts'
import { newVaultHost, type VaultHost } from '../helpers/vault.ts'
import { meetingEvent, WEBHOOK_SECRET, zoomSends } from '../helpers/zoom-events.ts'

const t = await startTestApp({ env: { ZOOM_WEBHOOK_SECRET_TOKEN: WEBHOOK_SECRET } })
afterAll(() => t.stop())
const { eventGaps, meetingSync } = t.services
const world = await accountWorld(t)
const running = new AbortController().signal

let host: VaultHost
beforeEach(async () => {
  await rows(t, 'DELETE FROM unannounced_meetings')
  await rows(t, 'UPDATE zoom_apps SET webhook_validated_at = now(), events_missed_at = NULL')
  t.log.length = 0
  await rows(
    t,
    `INSERT INTO meeting_event_marks (zoom_app_id, meeting_id, at, said) SELECT id, '111111111', now(), 'gone' FROM zoom_apps
     ON CONFLICT DO NOTHING`, // events of other meetings come
  )
  host = await newVaultHost(t)
  await meetingSync.run(host.grantId, running)
})

const sync = ({ grantId }: { grantId: string }) => meetingSync.run(grantId, running)
const newMeeting = () => t.zoom.addMeeting({ id: newNumber(), host: host.email })
const hoursLater = async () => {
  await rows(t, `UPDATE unannounced_meetings SET found_at = found_at - interval '2 hours'`)
  await eventGaps.reportAcrossTenants()
}
const reports = () =>
  t.log
    .map((line) => JSON.parse(line))
    .filter(({ message }) => String(message).startsWith('events of Zoom’s did not come'))
const missedAt = async () =>
  (await t.api('GET', '/v1/zoom-apps')).json().data.map((app: Record<string, unknown>) => app.events_missed_at)

describe('a meeting that a sync finds and no event has told of', () => {
  test('is a gap once Zoom would repeat the event no more: an error, a metric, and a time on the Zoom app', async () => {
    newMeeting()
    newMeeting()
    await sync(host)
    await eventGaps.reportAcrossTenants()
    expect(reports()).toEqual([])
    await hoursLater()
    expect(reports()).toEqual([expect.objectContaining({ level: 'error', meetings: 2 })])
    expect(await missedAt()).toContainEqual(expect.any(String))
    expect(await t.metrics.registry.metrics()).toMatch(/^latchkey_zoom_events_missed_total [1-9]/m)
    await hoursLater()
    expect(reports()).toHaveLength(1) // each meeting is judged once
  })

  test('is none where its event comes late', async () => {
    const { id, host_id } = newMeeting()
    await sync(host)
    const [user] = await rows<{ account: string }>(t, 'SELECT zoom_account_id AS account FROM grants WHERE id = $1', [
      host.grantId,
    ])
    await zoomSends(t, meetingEvent('meeting.created', String(user?.account), { id: Number(id), host_id }))
    await t.services.zoomEvents.processAcrossTenants()
    await hoursLater()
    expect(reports()).toEqual([])
  })

  test('is none where it was there before the host connected, or connected again', async () => {
    newMeeting()
    await t.connectHost(host.externalUserId, host.email)
    await sync(host)
    await sync(await newVaultHost(t))
    await hoursLater()
    expect(reports()).toEqual([])
  })

  test.each([
    ['whose events nobody has Zoom deliver', 'UPDATE zoom_apps SET webhook_validated_at = NULL'],
    ['that tells of no meeting at all', 'DELETE FROM meeting_event_marks'],
  ])('is none for an app %s', async (_, isSo) => {
    await rows(t, isSo)
    newMeeting()
    await sync(host)
    await hoursLater()
    expect(reports()).toEqual([])
  })
})

test('in an account it counts for users who were read before, and not for what a new user brings', async () => {
  const tenant = await newTenant(t)
  const { admin, users, join } = world.newAccount(1)
  const organization = await world.connect(admin, tenant.headers)
  await world.sync(organization)
  t.zoom.addMeeting({ id: newNumber(), host: String(users[0]?.email) })
  join()
  await t.api('POST', `/v1/organizations/${organization.id}/sync`, { headers: tenant.headers })
  await world.sync(organization)
  await hoursLater()
  expect(reports()).toEqual([expect.objectContaining({ meetings: 1, zoom_app_id: world.appId })])
})
