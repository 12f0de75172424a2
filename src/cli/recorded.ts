import { AppError } from '../errors.ts'
import type { Services } from '../services.ts'

/**
 * Does what an operator typed with a line of the audit trail, as a request of the API has one; `false` is what
 * a command gives that did nothing. @throws store_unavailable: nothing was done
 */
export async function recorded<T>(
  { requestTrail }: Pick<Services, 'requestTrail'>,
  { action, subjectIds = [] }: { action: string; subjectIds?: string[] },
  work: () => Promise<T>,
): Promise<T> {
  const whose = { tenantId: null, actor: 'cli', requestId: null, address: null }
  const id = await requestTrail.open({ ...whose, action, subjectIds })
  const settle = (outcome: string) => requestTrail.settle({ id, outcome, status: null, madeId: null })
  try {
    const result = await work()
    settle(result === false ? 'refused' : 'done')
    return result
  } catch (error) {
    settle(error instanceof AppError ? error.code : 'internal_error')
    throw error
  }
}
