import type { Diagnosis, Patient } from '../grants/doctor.ts'
import { recorded } from './recorded.ts'
import { readRefreshLog } from './refresh-log.ts'
import { type Env, type Say, withServices } from './with-services.ts'

/** Takes a copied database over on purpose. Whoever else still uses those tokens will lose them. @throws StartError for pending migrations, store_unavailable */
export async function adopt(env: Env, say: Say): Promise<void> {
  await withServices(env, async ({ app, services }) => {
    await recorded(services, { action: 'adoptDatabase' }, () => services.installation.adopt())
    say(`The database now belongs to the installation ${app.config.INSTALLATION_ID}.`)
  })
}

export interface DoctorOptions {
  json?: boolean | undefined
  /** A service log: shows whose pair was rotated after the backup that this database was restored from. */
  log?: string | undefined
}

/** Says how the grants are and which hosts must connect again; touches no grant. @throws StartError for pending migrations, store_unavailable */
export async function doctor(env: Env, { json, log }: DoctorOptions, say: Say): Promise<void> {
  const refreshes = log === undefined ? null : await readRefreshLog(log)
  await withServices(env, async ({ services }) => {
    await services.installation.refresh()
    const diagnosis = await services.doctor.diagnose({ isUnnoted: await services.lineage.isUnnoted() })
    const spent = refreshes && (await services.doctor.findSpent(refreshes))
    const isForeign = services.installation.isForeign()
    if (json) say(JSON.stringify({ foreign_database: isForeign, ...asFields(diagnosis), rotated_after_backup: spent }))
    else for (const line of report(diagnosis, spent, isForeign)) say(line)
  })
}

/**
 * After a restore: notes it, so that what Zoom refuses of the pairs in the backup reads `restored_backup`, and marks the hosts
 * whose rotation the log tells of and the database has lost. @throws StartError for pending migrations, store_unavailable
 */
export async function markRestored(env: Env, { log }: { log: string }, say: Say): Promise<void> {
  const spent = await readRefreshLog(log)
  await withServices(env, async ({ services }) => {
    const patients = await services.doctor.findSpent(spent)
    const marked = await recorded(services, { action: 'markRestored' }, async () => {
      const count = await services.doctor.markSpent(spent)
      await services.lineage.noteRestore()
      return count
    })
    say(`The log tells of the last rotation of ${spent.length} grants; ${marked} of them are marked restored_backup.`)
    say('The restore is noted: what Zoom refuses of older pairs from now on reads restored_backup too.')
    for (const line of table(patients)) say(line)
  })
}

const asFields = ({ databaseChanges, grants, openIntents, toReconnect, doubtful }: Diagnosis) => ({
  database_changes: databaseChanges,
  grants,
  open_intents: openIntents,
  to_reconnect: toReconnect,
  doubtful,
})

function report(diagnosis: Diagnosis, spent: Patient[] | null, isForeign: boolean): string[] {
  const { databaseChanges, grants, openIntents, toReconnect, doubtful } = diagnosis
  const counts = grants.map(({ status, reason, count }) => `  ${count} ${status}${reason ? ` (${reason})` : ''}`)
  const lastChange = databaseChanges.at(-1)
  return [
    ...(isForeign
      ? ['This database was first used by another installation: nothing is refreshed until latchkey grants adopt.']
      : []),
    'Grants:',
    ...(counts.length > 0 ? counts : ['  none']),
    `Refreshes whose outcome is unknown: ${openIntents}${openIntents > 0 ? '; the next mint of each settles it' : ''}`,
    lastChange
      ? `The database was restored, failed over or moved, last noticed ${lastChange}.`
      : 'The database has not been restored, failed over or moved since it was first used.',
    ...section('Hosts to reconnect', toReconnect),
    ...(lastChange ? section('Not renewed since the database changed; their first refresh tells', doubtful) : []),
    ...(spent ? section('Rotated after the backup, by the log; latchkey grants mark-restored marks them', spent) : []),
  ]
}

const section = (title: string, patients: Patient[]) => [
  `${title}: ${patients.length}`,
  ...table(patients).map((line) => `  ${line}`),
]

const table = (patients: Patient[]) =>
  patients.map(
    ({ tenant, kind, id, externalUserId, reason }) =>
      `${tenant}  ${kind} ${id}  ${JSON.stringify(externalUserId)}  ${reason}`,
  )
