import { createExplainService, type ExplainDeps } from './service.ts'
import { createSettingsReader, type SettingsDeps } from './settings.ts'

export type ExplainParts = Omit<ExplainDeps, 'settingsOf'> & {
  vault: SettingsDeps['vault']
  zoomSettings: { read: SettingsDeps['readAtZoom'] }
}

/** The service with its own way to Zoom's settings. */
export function createExplain({ vault, zoomSettings, ...parts }: ExplainParts) {
  const settingsOf = createSettingsReader({
    vault,
    readAtZoom: zoomSettings.read,
    monotonicNow: () => performance.now(),
  })
  return createExplainService({ ...parts, settingsOf })
}
