/** Markup that may be sent as it is. Only `html` makes it, so text that nobody escaped cannot be mistaken for it. */
export interface Html {
  readonly markup: string
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character)
const markupOf = (value: string | Html | Html[]): string =>
  typeof value === 'string' ? escaped(value) : Array.isArray(value) ? value.map(markupOf).join('') : value.markup

/** Markup with every interpolated text escaped; fit for element content and quoted attributes, not for scripts or styles. */
export function html(parts: TemplateStringsArray, ...values: (string | Html | Html[])[]): Html {
  return { markup: parts.reduce((all, part, index) => all + markupOf(values[index - 1] ?? '') + part) }
}
