import type { AppError } from '../../errors.ts'
import { type Html, html } from '../../lib/html.ts'
import { PAGE_STYLE } from './page-style.ts'
import { failureTextOf } from './page-texts.ts'

const TICK = html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M5 12.5l4.5 4.5L19 7.5"/></svg>`
const BANG = html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 3.5v10.5"/><path d="M12 20v.01"/></svg>`

/** The style is set in once, unescaped: it is a constant, and its hash in the policy is over exactly these bytes. */
const STYLE: Html = { markup: `<style>${PAGE_STYLE}</style>` }

interface Parts {
  tone: 'ok' | 'bad'
  title: string
  lead: Html
  sections: Html[]
  footer: Html
}

function page({ tone, title, lead, sections, footer }: Parts): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title}</title>
${STYLE}
</head>
<body>
<main class="${tone}">
<header>
<div class="mark">${tone === 'ok' ? TICK : BANG}</div>
<h1>${title}</h1>
${lead}
</header>
${sections}
<footer>${footer}</footer>
</main>
</body>
</html>
`.markup
}

/** A name from outside: set apart, so that text in another direction does not reorder the sentence around it. */
const named = (name: string) => html`<bdi>${name}</bdi>`

/** Says which Zoom account was connected for which tenant, and how to end it. */
export function connectedPage(result: {
  kind: 'host' | 'organization'
  /** Email address, or Zoom's user id where that cannot be read. */
  account: string
  tenantName: string
}): string {
  const tenant = named(result.tenantName)
  const isHost = result.kind === 'host'
  const who = html`<b>${named(result.account)}</b> is now connected for <b>${tenant}</b>.`
  return page({
    tone: 'ok',
    title: 'Zoom is connected',
    lead: html`<p class="lead">${isHost ? html`The Zoom account ` : html`The organization of the Zoom account `}${who}</p>
<p class="lead">You can close this page.</p>`,
    sections: [
      html`<section><h2>What this does</h2><p>Meeting bots of ${tenant} can now get what they need from Zoom to enter meetings that ${isHost ? 'you host' : 'people of your organization host'}.</p></section>`,
      html`<section><h2>How to disconnect</h2><p>At any time, in either of two ways:</p>
<ul>
<li>In the <a href="https://marketplace.zoom.us/" rel="noreferrer">Zoom App Marketplace</a>, choose <b>Manage</b>, then <b>Added Apps</b>, and remove the app.</li>
<li>Or ask ${tenant} to disconnect your Zoom account.</li>
</ul></section>`,
    ],
    footer: html`<p>Is this the wrong Zoom account? Disconnect it as above, sign in to Zoom with the right one, and ask ${tenant} for a new link.</p>`,
  })
}

/** Says in plain words what happened and what to do next; code and request id are for support. */
export function failedPage(error: AppError, context: { tenantName: string | null; requestId: string }): string {
  const sender = context.tenantName === null ? html`whoever sent you the link` : named(context.tenantName)
  const { title, what, next } = failureTextOf(error, sender)
  return page({
    tone: 'bad',
    title,
    lead: html`<p class="lead">${what}</p>`,
    sections: [html`<section><h2>What to do next</h2>${next}</section>`],
    footer: html`<p>If you ask for help, please pass this on:</p>
<dl><dt>Code</dt><dd>${error.code}</dd><dt>Request</dt><dd>${context.requestId}</dd></dl>`,
  })
}
