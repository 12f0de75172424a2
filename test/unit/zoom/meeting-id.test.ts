import { describe, expect, test } from 'vitest'
import { parseMeetingReference } from '../../../src/zoom/meeting-id.ts'
import { refusal } from '../../helpers/meeting-refusal.ts'

const ID = '85996249517'

describe('taken as the meeting number', () => {
  test.each([
    ID,
    '859 9624 9517',
    '859-9624-9517',
    ' 859\u00a09624\u00a09517\n',
    '859\u200b9624\u20119517\ufeff',
    '\u2068859 9624 9517\u2069',
    `https://zoom.us/j/${ID}`,
    `https://zoom.us/j/${ID}/`,
    `http://zoom.us/j/${ID}?pwd=abc&tk=def&zak=ghi#success`,
    `https://us02web.zoom.us/j/${ID}?pwd=abc.1`,
    `https://acme.zoom.us/j/${ID}`,
    `HTTPS://US02WEB.ZOOM.US/j/${ID}`,
    `https://acme-eu.zoom.com/w/${ID}`,
    `https://zoom.us/s/${ID}`,
    `https://zoom.us/wc/join/${ID}`,
    `https://zoom.us/wc/${ID}/join?pwd=x`,
    `https://app.zoom.us/wc/${ID}/start`,
    `zoommtg://zoom.us/join?confno=${ID}&pwd=abc`,
    `zoommtg://ZOOM.US/join?action=join&confno=${ID}`,
    `zoomus://us02web.zoom.us/join?confno=${ID}`,
    `zoommtg://zoom.us/start?confno=${ID}&zak=x`,
    `zoom.us/j/${ID}`,
    `us02web.zoom.us/j/${ID}?pwd=x`,
    `<https://zoom.us/j/${ID}>`,
    `https://zoom.us/j/${ID}.`,
    `\u200bhttps://zoom.us/j/${ID}\u200b `,
  ])('%j', (text) => {
    expect(parseMeetingReference(text, 'commercial')).toEqual({ meetingId: ID })
  })

  test('with 9 to 12 digits, as text and with a leading zero kept', () => {
    for (const id of ['123456789', '1234567890', '12345678901', '123456789012', '0123456789']) {
      expect(parseMeetingReference(id, 'commercial')).toEqual({ meetingId: id })
    }
  })
})

describe('refused as invalid_request', () => {
  test.each([
    '',
    ' ',
    '-',
    '12345678',
    '1234567890123',
    '9007199254740993',
    '18446744073709551616',
    `1${'0'.repeat(400)}`,
    '\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669',
    '\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19',
    `+${ID}`,
    '-1',
    '1e9',
    '0x5fd9d5d3',
    '1_000_000_000',
    `${ID}?type=zak`,
    `${ID}%3Ftype=zak`,
    `${ID}#x`,
    `${ID};x`,
    `${ID}&x=1`,
    `${ID}@evil`,
    `${ID}:80`,
    `${ID}%00`,
    `${ID}\0`,
    'my/room',
    'null',
    'undefined',
    'NaN',
    'me',
    'true',
    '[object Object]',
    '..',
    '%2e%2e',
    '.%2e',
    '../../users/me',
    'a%2F..%2Fb',
    '%252e%252e%252f',
    '..%2Fusers%2Fme%2Ftoken%3Ftype%3Dzak',
    'x'.repeat(4000),
    `https://zoom.us.evil.example/j/${ID}`,
    `https://zoom.us@evil.example/j/${ID}`,
    `https://evil.example/zoom.us/j/${ID}`,
    `https://evilzoom.us/j/${ID}`,
    `https://zoom.us.:443/j/${ID}`,
    `https://zoom.us:8443/j/${ID}`,
    `https://user:pw@zoom.us/j/${ID}`,
    `https://zoom.us\\@evil.example/j/${ID}`,
    `https://.zoom.us/j/${ID}`,
    `https://a..zoom.us/j/${ID}`,
    `https://zoom.us./j/${ID}`,
    `https://zoom.us.evil.example?x=.zoom.us/j/${ID}`,
    `zoommtg://evil%2f.zoom.us/join?confno=${ID}`,
    `https://evil.example\\.zoom.us/j/${ID}`,
    `https://zo\u043em.us/j/${ID}`,
    `https://zoom\uff0eus/j/${ID}`,
    `https://zoom.us/j/${ID}/extra`,
    `https://zoom.us/j/859-9624-9517`,
    `https://zoom.us/j/%38599624951`,
    `https://zoom.us/x/j/${ID}`,
    `https://zoom.us//j/${ID}`,
    `https://zoom.us/${ID}`,
    `https://zoom.us/j/${ID}x`,
    'https://zoom.us/j/',
    `https://zoom.us/rec/share/${ID}`,
    `javascript:zoom.us/j/${ID}`,
    `ftp://zoom.us/j/${ID}`,
    `file://zoom.us/j/${ID}`,
    'zoommtg://zoom.us/join',
    `zoommtg://zoom.us/join?confno=${ID}&confno=123456789`,
    'zoommtg://zoom.us/join?confno=me',
    `zoommtg://evil.example/join?confno=${ID}`,
    `zoommtg://zoom.us@evil.example/join?confno=${ID}`,
    `zoommtg:zoom.us?confno=${ID}`,
    `zoommtg://zoom.us/my/ann?confno=${ID}`,
    `zoommtg://zoom.us/?confno=${ID}`,
    `https://zoom.us/join?confno=${ID}`,
    'https://zoom.us/my/',
    'https://zoom.us/my/ann/join',
    'https://zoom.us/my/..%2fann',
    'https://zoom.us/my/-ann',
    'https://zoom.us.evil.example/my/ann',
    `https://zoom.us/j/${ID} https://zoom.us/j/123456789`,
    `https://zoom.us/j/859962\n49517`,
  ])('%j', (text) => {
    expect(refusal(text).code).toBe('invalid_request')
  })

  test('a government link is refused by name', () => {
    for (const host of ['zoomgov.com', 'www.zoomgov.com', 'ZOOMGOV.com']) {
      expect(refusal(`https://${host}/j/${ID}`).message).toContain('Government')
    }
    expect(refusal(`https://zoomgov.com/my/ann`).message).toContain('Government')
    expect(refusal(`https://notzoomgov.com/j/${ID}`).message).not.toContain('Government')
  })

  test('where Latchkey is connected with Zoom for Government its links are the ones, and those of zoom.us are refused by name', () => {
    const taken = (text: string) => parseMeetingReference(text, 'government')
    for (const host of ['zoomgov.com', 'www.zoomgov.com', 'agency.zoomgov.com'])
      expect(taken(`https://${host}/j/${ID}?pwd=x`)).toEqual({ meetingId: ID })
    expect(taken(`zoommtg://zoomgov.com/join?confno=${ID}`)).toEqual({ meetingId: ID })
    expect(taken('https://www.zoomgov.com/my/ann')).toEqual({ personalLink: { host: 'zoomgov.com', name: 'ann' } })
    expect(taken('https://agency.zoomgov.com/my/ann')).toEqual({
      personalLink: { host: 'agency.zoomgov.com', name: 'ann' },
    })
    for (const host of ['zoom.us', 'acme.zoom.us', 'zoom.com'])
      expect(() => taken(`https://${host}/j/${ID}`)).toThrow('This link leads to zoom.us or zoom.com')
    expect(() => taken(`https://evil.example/j/${ID}`)).toThrow('does not lead to zoomgov.com')
  })

  test('no refusal repeats the password, token or key of a link', () => {
    const secrets = 'pwd=s3cretpwd&tk=s3crettk&zak=s3cretzak'
    for (const link of [
      `https://evil.example/j/${ID}?${secrets}`,
      `https://zoom.us/x/y?${secrets}`,
      `https://zoomgov.com/j/${ID}?${secrets}`,
      `zoomus://zoom.us/join?${secrets}`,
    ]) {
      const { message, cause, stack } = refusal(link)
      expect([message, String(cause), stack].join()).not.toContain('s3cret')
    }
  })
})

describe('a personal link', () => {
  test.each([
    ['https://zoom.us/my/team2024', 'zoom.us', 'team2024'],
    ['https://us02web.zoom.us/my/Team.2024?pwd=x#y', 'zoom.us', 'team.2024'],
    ['https://www.zoom.com/my/ann/', 'zoom.us', 'ann'],
    ['zoom.us/my/ann', 'zoom.us', 'ann'],
    ['https://ACME.zoom.us/my/ann', 'acme.zoom.us', 'ann'],
    ['https://us02web.acme.zoom.us/my/ann', 'us02web.acme.zoom.us', 'ann'],
    [`https://zoom.us/my/${ID}`, 'zoom.us', ID],
  ])('%j is a name at a host and never a number', (text, host, name) => {
    expect(parseMeetingReference(text, 'commercial')).toEqual({ personalLink: { host, name } })
  })
})
