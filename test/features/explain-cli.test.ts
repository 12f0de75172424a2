import { afterAll, describe, expect, test } from 'vitest'
import { type ExplainOptions, explain } from '../../src/cli/explain.ts'
import { startTestApp } from '../helpers/app.ts'
import { newScene } from '../helpers/explain.ts'

const t = await startTestApp()
afterAll(() => t.stop())

describe('latchkey explain', () => {
  async function run(reference: string, options: ExplainOptions) {
    await t.services.ledger.flush()
    const lines: string[] = []
    await explain(t.settings, reference, options, (line) => void lines.push(line))
    return lines.join('\n')
  }

  test('says in plain words what happened and what to do next, of a pass and of a meeting as people paste it', async () => {
    const { pass, id: tenant, alice, meeting } = await newScene(t)
    t.zoom.addUser({ email: alice.email, local_recording: false })
    const made = await pass()
    await t.bot(made.join_token_url)
    const references = [
      made.id,
      meeting.replace(/(...)(...)/, '$1 $2 '),
      `https://us02web.zoom.us/j/${meeting}?pwd=abc`,
    ]
    for (const reference of references) {
      const said = await run(reference, { tenant })
      expect(said).toContain('local_recording_off (certain)')
      expect(said).toContain('Next: The host turns on local recording')
      expect(said).toContain('local_recording_disabled, Zoom 400/3000')
      expect(said).toContain(`"${alice.externalUserId}"`)
      for (const hidden of ['abc', alice.email, '?pass=']) expect(said).not.toContain(hidden)
    }
  })

  test('gives the same as the API with --json', async () => {
    const { pass, id: tenant, ask } = await newScene(t)
    const { id } = await pass()
    expect(JSON.parse(await run(id, { tenant, json: true }))).toEqual(await ask(`passes/${id}`))
  })

  test('refuses what is neither, and what the tenant does not have', async () => {
    const { pass, id: tenant } = await newScene(t)
    const { id } = await pass()
    await expect(run('not a meeting', { tenant })).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(run('https://zoom.us/my/nobody', { tenant })).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(run(id, {})).rejects.toMatchObject({ code: 'not_found' })
  })
})
