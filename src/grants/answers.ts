import type { FastifyBaseLogger } from 'fastify'
import type { RefreshOutcome } from '../zoom/oauth.ts'
import type { AppPauses } from './app-pauses.ts'
import type { Breakers } from './breakers.ts'

export interface AnswerDeps {
  breakers: Breakers
  appPauses: Pick<AppPauses, 'note'>
  log: Pick<FastifyBaseLogger, 'info' | 'error'>
}

/** What proves that Zoom took the app's credentials. A 429 or a 5xx may come before Zoom looks at them. */
const PROVES_APP: RefreshOutcome['outcome'][] = ['rotated', 'rejected', 'blocked']
const FAILURES: RefreshOutcome['outcome'][] = ['not_sent', 'server_error', 'ambiguous']

/** What an answer, or its absence, says of the app, of the next tries with what was presented, and of the token endpoint as a whole. */
export function createAnswers({ breakers, appPauses, log }: AnswerDeps) {
  return {
    /** `id`: of the grant, or of whatever else holds the refresh token that was presented. */
    note({ id, zoomAppId }: { id: string; zoomAppId: string }, outcome: RefreshOutcome['outcome']): void {
      if (PROVES_APP.includes(outcome)) appPauses.note(zoomAppId, 'taken')
      if (PROVES_APP.includes(outcome) && breakers.app.recover(zoomAppId))
        log.info({ zoom_app_id: zoomAppId }, 'Zoom answers this Zoom app again')
      if (FAILURES.includes(outcome)) {
        breakers.grant.noteFailure(id)
        if (breakers.endpoint.noteFailure(id))
          log.error('Zoom’s token endpoint fails for every grant: refreshes are paused, one probe every 2 s')
        return
      }
      if (outcome === 'refused')
        breakers.grant.noteFailure(id) // an answer, but none that helps this grant
      else breakers.grant.noteAnswer(id)
      if (breakers.endpoint.noteAnswer()) log.info('Zoom’s token endpoint answers again')
    },
    /** Zoom refuses the app itself. */
    noteAppFault(zoomAppId: string): void {
      appPauses.note(zoomAppId, 'refused')
      if (breakers.app.trip(zoomAppId))
        log.error({ zoom_app_id: zoomAppId }, 'Zoom refuses this Zoom app: check its client id and secret')
    },
  }
}
