/** What receivers may be told of. Triggers write these names (see the migration `webhook_events`). */
export const EVENT_TYPES = [
  'host.connected',
  'host.reconnect_required',
  'host.blocked',
  'host.recovered',
  'host.disconnected',
  'app.paused',
  'app.resumed',
  'pass.failed',
] as const
