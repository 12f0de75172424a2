// node scripts/run.mjs scripts/verify-live.ts --yes: what a real Zoom user and a real Recall workspace show of the points that
// their documents leave open. Settings come from the environment; see docs/verify-live.md.
import { createNotebook, VERDICTS, type Verdict } from './verify-live/facts.ts'
import { createJsonClient } from './verify-live/json-client.ts'
import { seeRecall } from './verify-live/recall-facts.ts'
import { seeRefresh } from './verify-live/refresh-facts.ts'
import { type Settings, settingsFrom } from './verify-live/settings.ts'
import { seeZoom } from './verify-live/zoom-facts.ts'

const WARNING = `This asks a real Zoom and a real Recall, as one test user of yours:
  - it has that user's access token renewed, sends bots into the meeting you name, and asks for tokens that Zoom should refuse;
  - a refresh token given in VERIFY_REFRESH_TOKEN is spent, and its grant ended: whoever else uses it must connect again;
  - should Zoom be stricter than we think, the host's own grant may end as well, and that user must connect again.
Use a test user, never a customer. Run it with --yes to go on.`

async function verify(settings: Settings) {
  const startedAt = new Date().toISOString()
  const { VERIFY_LATCHKEY_URL: url, VERIFY_LATCHKEY_KEY: key } = settings
  const latchkey = key ? createJsonClient(url, `Bearer ${key}`) : null
  const notebook = createNotebook()
  await seeZoom(settings, notebook, latchkey)
  await seeRecall(settings, notebook, latchkey)
  await seeRefresh(settings, notebook) // last: it ends a grant
  const facts = notebook.facts()
  const counts: Record<Verdict, number> = { PASS: 0, FAIL: 0, UNSEEN: 0 }
  for (const { verdict } of facts) counts[verdict] += 1
  return { started_at: startedAt, ended_at: new Date().toISOString(), verdicts: VERDICTS, counts, facts }
}

/** 0 where nothing failed, 1 where something did, 2 where it did not run. */
async function main(args: string[]): Promise<number> {
  if (args.length !== 1 || args[0] !== '--yes') {
    console.error(WARNING)
    return 2
  }
  let settings: Settings
  try {
    settings = settingsFrom(process.env)
  } catch (error) {
    console.error(error instanceof Error ? error.message : 'the settings are wrong')
    return 2
  }
  const report = await verify(settings)
  console.log(JSON.stringify(report, null, 2))
  return report.counts.FAIL > 0 ? 1 : 0
}

process.exitCode = await main(process.argv.slice(2))
