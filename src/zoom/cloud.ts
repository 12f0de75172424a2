/** Zoom's clouds know nothing of each other: other hosts, accounts, apps and meeting numbers. */
export type ZoomCloud = 'commercial' | 'government'

export interface CloudHosts {
  /** Whole labels, so that neither an ending nor an empty label passes for Zoom. */
  any: RegExp
  /** Zoom's own addresses: of everybody, of a data centre, of the web client. */
  common: RegExp
  /** What stands for all of those. */
  home: string
  /** For people. */
  name: string
}

export const CLOUDS: Record<ZoomCloud, CloudHosts> = {
  commercial: {
    any: /^(?:[a-z0-9-]+\.)*zoom\.(?:us|com)$/,
    common: /^(?:(?:www|app|us[0-9]{2}web)\.)?zoom\.(?:us|com)$/,
    home: 'zoom.us',
    name: 'zoom.us or zoom.com',
  },
  government: {
    any: /^(?:[a-z0-9-]+\.)*zoomgov\.com$/,
    common: /^(?:(?:www|app|us[0-9]{2}web)\.)?zoomgov\.com$/,
    home: 'zoomgov.com',
    name: 'zoomgov.com (Zoom for Government)',
  },
}

/** The cloud that a base URL of Zoom's belongs to; a stand-in of one's own counts as commercial. */
export function cloudOf(baseUrl: string): ZoomCloud {
  return CLOUDS.government.any.test(new URL(baseUrl).hostname) ? 'government' : 'commercial'
}
