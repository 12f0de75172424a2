import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { isMeetingId, MEETING_ID, parseMeetingReference } from '../../../src/zoom/meeting-id.ts'
import { refusal } from '../../helpers/meeting-refusal.ts'

const ID = '85996249517'
const zoomHost = expect.stringMatching(/^([a-z0-9-]+\.)*zoom\.(us|com)$/)

describe('for any input', () => {
  test('what is returned is a meeting id, and what is thrown is invalid_request', () => {
    const part = fc.constantFrom(
      'https://',
      'zoom.us',
      '/j/',
      '/my/',
      ID,
      '?confno=',
      '@',
      '.',
      '..',
      '%2f',
      '\\',
      '\u200b',
      'zoommtg://',
      '//',
      '#',
    )
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.webUrl(),
      fc.array(part, { maxLength: 8 }).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(text, (input) => {
        try {
          const taken = parseMeetingReference(input, 'commercial')
          if ('meetingId' in taken) expect(taken.meetingId).toMatch(MEETING_ID)
          else expect(taken.personalLink).toEqual({ host: zoomHost, name: expect.stringMatching(/^[a-z0-9._-]+$/) })
        } catch (error) {
          if (!(error instanceof AppError)) throw error
          expect(error.code).toBe('invalid_request')
        }
      }),
      { numRuns: 500 },
    )
  })

  test('digits come through any spacing unchanged, and only 9 to 12 of them', () => {
    const gap = fc.constantFrom('', ' ', '-', '\u00a0', '\u200b', '\t')
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...'0123456789'), gap), { minLength: 1, maxLength: 16 }),
        (pairs) => {
          const digits = pairs.map(([digit]) => digit).join('')
          const pasted = pairs.flat().join('')
          if (isMeetingId(digits)) expect(parseMeetingReference(pasted, 'commercial')).toEqual({ meetingId: digits })
          else expect(refusal(pasted).code).toBe('invalid_request')
        },
      ),
    )
  })

  const digits = fc.array(fc.constantFrom(...'0123456789'), { minLength: 9, maxLength: 12 }).map((all) => all.join(''))
  const label = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/)
  const host = fc
    .tuple(fc.array(label, { maxLength: 2 }), fc.constantFrom('zoom.us', 'zoom.com'))
    .map(([labels, domain]) => [...labels, domain].join('.'))
  const query = fc.constantFrom('', '?pwd=a.1', '?tk=b&zak=c', '?confno=123456789', '#success')
  const shapes = [
    ...['j', 'w', 's', 'wc/join'].map((path) => (at: string, id: string) => `https://${at}/${path}/${id}`),
    ...['', '/join', '/start'].map((end) => (at: string, id: string) => `https://${at}/wc/${id}${end}`),
  ]

  test('every form of link that Zoom writes gives back the number it was made of', () => {
    fc.assert(
      fc.property(fc.constantFrom(...shapes), host, digits, query, fc.boolean(), (shape, at, id, rest, isLoud) => {
        const written = shape(isLoud ? at.toUpperCase() : at, id)
        expect(parseMeetingReference(`${written}${rest}`, 'commercial')).toEqual({ meetingId: id })
        expect(parseMeetingReference(` <${written}>. `, 'commercial')).toEqual({ meetingId: id })
      }),
    )
    fc.assert(
      fc.property(fc.constantFrom('zoommtg', 'zoomus'), host, digits, (scheme, at, id) => {
        expect(parseMeetingReference(`${scheme}://${at}/join?pwd=x&confno=${id}`, 'commercial')).toEqual({
          meetingId: id,
        })
      }),
    )
  })

  test('no form of link is taken from a host that is not Zoom’s, however it ends or begins', () => {
    const foreign = fc.oneof(
      fc.tuple(host, label).map(([at, end]) => `${at}.${end}.example`),
      fc.tuple(label, fc.constantFrom('zoom.us', 'zoom.com')).map(([start, at]) => `${start}${at}`),
      fc.tuple(host, label).map(([at, evil]) => `${at}@${evil}.example`),
      fc.tuple(host, fc.integer({ min: 1, max: 65_535 })).map(([at, port]) => `${at}:${port}`),
      host.map((at) => `.${at}`),
    )
    fc.assert(
      fc.property(fc.constantFrom(...shapes), foreign, digits, (shape, at, id) => {
        fc.pre(!at.endsWith(':443')) // the scheme’s own port says nothing
        expect(refusal(shape(at, id)).code).toBe('invalid_request')
      }),
    )
  })

  test('no number is taken from a path or a count of digits that is not in the table', () => {
    const known = ['j', 'w', 's', 'wc', 'my']
    const other = label.filter((word) => !known.includes(word))
    const tooShort = fc.stringMatching(/^[0-9]{1,8}$/)
    const tooLong = fc.stringMatching(/^[0-9]{13,40}$/)
    fc.assert(
      fc.property(host, other, digits, (at, word, id) => {
        for (const path of [`${word}/${id}`, `j/${word}/${id}`, `j/${id}/${word}`, `wc/${id}/${word}s`, id])
          expect(refusal(`https://${at}/${path}`).code).toBe('invalid_request')
      }),
    )
    fc.assert(
      fc.property(fc.constantFrom(...shapes), host, fc.oneof(tooShort, tooLong), (shape, at, id) => {
        expect(refusal(shape(at, id)).code).toBe('invalid_request')
      }),
    )
  })

  test('a personal link comes back as the name and the company it was made of', () => {
    fc.assert(
      fc.property(label, fc.stringMatching(/^[A-Za-z][A-Za-z0-9.]{3,38}[a-z0-9]$/), query, (company, name, rest) => {
        const at = `${company}-acme.zoom.us`
        const personalLink = { host: at, name: name.toLowerCase() }
        expect(parseMeetingReference(`https://${at}/my/${name}${rest}`, 'commercial')).toEqual({ personalLink })
      }),
    )
  })
})
