import { grantStateOf } from '../../plugins/grant-state.ts'
import { mappingStateOf } from '../../plugins/mapping-state.ts'
import { mintLineOf } from '../../plugins/mint-line.ts'
import type { ExplainedPass, Explanation } from './service.ts'
import type { SettingsView } from './settings.ts'

const passOf = (pass: ExplainedPass) => ({
  id: pass.id,
  kinds: pass.kinds,
  on_behalf_of: pass.onBehalfOf.map(({ id, externalUserId, status }) => ({
    id,
    external_user_id: externalUserId,
    status,
  })),
  join_at: pass.joinAt?.toISOString() ?? null,
  expires_at: pass.expiresAt.toISOString(),
  created_at: pass.createdAt.toISOString(),
})

const settingsOf = (settings: SettingsView) => ({
  reason: settings.isKnown ? null : settings.reason,
  local_recording: settings.isKnown ? settings.localRecording : null,
  auto_recording: settings.isKnown ? settings.autoRecording : null,
  waiting_room: settings.isKnown ? settings.waitingRoom : null,
  join_before_host: settings.isKnown ? settings.joinBeforeHost : null,
})

/** An explanation as the API and `latchkey explain --json` show it: no address, no name, no token, no URL. */
export function explanationOf({ meetingId, pass, mapping, host, organization, ...rest }: Explanation) {
  return {
    meeting_id: meetingId,
    pass: pass && passOf(pass),
    mapping: mapping && { ...mappingStateOf(mapping), rule: mapping.rule },
    personal_room_of: rest.personalRoomOf,
    host: host && { id: host.id, external_user_id: host.externalUserId, ...grantStateOf(host, host.kinds) },
    organization: organization && { id: organization.id, ...grantStateOf(organization, ['join'], 'organization') },
    settings: settingsOf(rest.settings),
    mints: rest.mints.map(mintLineOf),
    causes: rest.causes.map(({ cause, likelihood, why, nextStep }) => ({
      cause,
      likelihood,
      why,
      next_step: nextStep,
    })),
  }
}
