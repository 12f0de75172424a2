import type { AppError, ErrorCode } from '../../errors.ts'
import { type Html, html } from '../../lib/html.ts'

export interface FailureText {
  title: string
  what: Html
  next: Html
}

/** `sender` is the tenant's name, or "whoever sent you the link". */
type TextFor = (sender: Html, error: AppError) => FailureText

const TEXTS: Partial<Record<ErrorCode, TextFor>> = {
  access_denied: (sender) => ({
    title: 'Zoom was not connected',
    what: html`Access was not allowed on Zoom’s page, so nothing was connected.`,
    next: html`<p>If you change your mind, open the link from ${sender} again and allow access.</p>
<p>If Zoom did not let you allow it, your Zoom administrator may have to approve the app first.</p>`,
  }),
  email_mismatch: (sender) => ({
    title: 'A different Zoom account was expected',
    what: html`You are signed in to Zoom with another email address than the one this link is meant for, so nothing was connected.`,
    next: html`<ol><li>Sign out at <a href="https://zoom.us/" rel="noreferrer">zoom.us</a>.</li>
<li>Sign in there with the account that the link is meant for.</li>
<li>Open the link from ${sender} again.</li></ol>`,
  }),
  email_unverifiable: (sender) => ({
    title: 'We could not check your email address',
    what: html`This link is meant for one email address, and Zoom did not confirm that it is yours, so nothing was connected.`,
    next: html`<p>Check in your Zoom profile that your email address is verified, then open the link from ${sender} again.</p>
<p>If that does not help, tell ${sender}: their Zoom app may lack the permission to read it.</p>`,
  }),
  other_zoom_user: (sender) => ({
    title: 'You connected another Zoom account before',
    what: html`A different Zoom account is already connected for you. It stays as it is, and this one was not connected.`,
    next: html`<p>To renew that connection, sign in to Zoom with the account you used before and open the link again.</p>
<p>To change to this account, ask ${sender} to disconnect the other one first.</p>`,
  }),
  already_connected: (sender) => ({
    title: 'This Zoom account is already in use',
    what: html`The Zoom account you are signed in with is already connected for another user. It was not connected again.`,
    next: html`<p>If you meant another Zoom account, sign in to Zoom with that one and open the link again. Otherwise ask ${sender}.</p>`,
  }),
  zoom_unavailable: (sender) => ({
    title: 'Zoom did not answer',
    what: html`Zoom could not be reached, or did not answer in time, so nothing was connected. It is not your fault.`,
    next: html`<p>Wait a few minutes, then open the link from ${sender} again.</p>`,
  }),
  app_misconfigured: (sender) => ({
    title: 'Zoom does not accept this app',
    what: html`Zoom refuses the app that would connect you, so nothing was connected. It is not your fault.`,
    next: html`<p>Tell ${sender}. Once their Zoom app is set right, open the link again.</p>`,
  }),
  app_not_configured: (sender) => ({
    title: 'No Zoom app is set up yet',
    what: html`There is no Zoom app here that could connect your account.`,
    next: html`<p>Tell ${sender}. Once a Zoom app is set up, open the link again.</p>`,
  }),
  connect_failed: (sender) => ({
    title: 'Zoom could not be connected',
    what: html`Something went wrong between Zoom and us, so nothing was connected.`,
    next: html`<p>Open the link from ${sender} once more. If it fails again, tell them.</p>`,
  }),
  invalid_flow: (sender) => ({
    title: 'This link no longer works',
    what: html`It has been used, has expired, or was opened in another browser. Nothing was changed.`,
    next: html`<p>If you have just connected Zoom, all is well and you can close this page.</p>
<p>Otherwise open the link again in this browser, and finish within 10 minutes. If it still fails, ask ${sender} for a new one.</p>`,
  }),
  invalid_request: (sender) => ({
    title: 'This link is not complete',
    what: html`The address that was opened is not one that we gave out. Nothing was changed.`,
    next: html`<p>Open the link exactly as you received it; if you copied it, check that it is whole. If it still fails, ask ${sender} for a new one.</p>`,
  }),
  rate_limited: () => ({
    title: 'Please wait a little',
    what: html`Too many connections have been started from here and not finished.`,
    next: html`<p>Wait ten minutes, then open the link again.</p>`,
  }),
}

const anyOther: TextFor = (_sender, error) => ({
  title: error.rendering.retryable ? 'Please try again in a moment' : 'Something went wrong',
  what: error.rendering.retryable
    ? html`We cannot do this just now. It is not your fault.`
    : html`Something went wrong on our side. It is not your fault.`,
  next: html`<p>Open the link again in a minute.</p>`,
})

/** What a failure page says; never anything that came from Zoom or from the request. */
export function failureTextOf(error: AppError, sender: Html): FailureText {
  return (TEXTS[error.code] ?? anyOther)(sender, error)
}
