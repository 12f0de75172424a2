import { AppError } from '../../src/errors.ts'
import { parseMeetingReference } from '../../src/zoom/meeting-id.ts'

/** How a pasted text is refused; fails where it is taken. */
export function refusal(text: string): AppError {
  try {
    const taken = parseMeetingReference(text, 'commercial')
    throw new Error(`${JSON.stringify(text)} was taken as ${JSON.stringify(taken)}`)
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
}
