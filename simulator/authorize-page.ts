import type { App, User } from './state.ts'

interface PageParts {
  app: App
  users: User[]
  /** The authorize request's own parameters, sent back with the choice. */
  fields: [string, string][]
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character)

const page = (title: string, content: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
button { font: inherit; padding: .5rem 1rem; border: 1px solid #0b5cff; border-radius: .5rem; background: #0b5cff; color: #fff }
button[name=decline] { background: #fff; color: #1a1a1a; border-color: #767676 }
li { margin: .75rem 0 } small { color: #555 }
</style>
</head>
<body>
${content}
<p><small>This is the Latchkey simulator, not Zoom. Nothing here reaches a real account.</small></p>
</body>
</html>
`

/** The consent page: a plain form, one "Allow" button per user and one "Decline"; it needs no script. */
export function authorizePage({ app, users, fields }: PageParts): string {
  const hidden = fields.map(
    ([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`,
  )
  const choices = users.map(
    (
      user,
    ) => `<li><button type="submit" name="user_id" value="${escaped(user.id)}">Allow as ${escaped(user.email)}</button>
<br><small>${escaped(user.display_name)}</small></li>`,
  )
  const scopes = app.scopes.map((scope) => `<li><code>${escaped(scope)}</code></li>`)
  return page(
    `Authorize ${app.name}`,
    `<main id="authorize">
<h1>Authorize ${escaped(app.name)}?</h1>
<form method="post" action="/oauth/authorize">
${hidden.join('\n')}
<ul id="users">
${choices.join('\n')}
</ul>
<button type="submit" name="decline" value="1">Decline</button>
</form>
<details><summary>Scopes</summary><ul>${scopes.join('')}</ul></details>
</main>`,
  )
}

/** The page that a wrong authorize request gets; the browser never returns to the app. */
export function refusalPage(code: number, text: string): string {
  return page(
    `Error ${code}`,
    `<main id="refusal" data-code="${code}"><h1>Something went wrong</h1><p>${escaped(text)} (${code})</p></main>`,
  )
}
