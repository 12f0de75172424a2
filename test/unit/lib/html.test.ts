import { expect, test } from 'vitest'
import { html } from '../../../src/lib/html.ts'

test('every interpolated text is escaped, in content and in quoted attributes', () => {
  expect(html`<p title="${`"'`}">${'<img onerror=x> & co'}</p>`.markup).toBe(
    '<p title="&quot;&#39;">&lt;img onerror=x&gt; &amp; co</p>',
  )
})

test('markup made by html is kept as it is, alone and in lists', () => {
  expect(html`<ul>${[html`<li>${'a'}</li>`, html`<li>${'<'}</li>`]}${html`<hr>`}</ul>`.markup).toBe(
    '<ul><li>a</li><li>&lt;</li><hr></ul>',
  )
})
