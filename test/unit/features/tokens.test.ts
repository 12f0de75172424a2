import { expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { createTokenService, type TokenDeps, type TokenRequest } from '../../../src/features/tokens/service.ts'

const source = (id: string) => ({
  id,
  grantId: `grant-${id}`,
  status: 'connected' as const,
  statusReason: null,
  gen: '1',
  accessLifeSeconds: 3600,
})

const OPENED: TokenRequest['opened'] = {
  mintId: 'mint',
  kind: 'join',
  isOfPass: true,
  tenantId: 'tenant',
  passId: 'pass',
  meetingId: '111111111',
  isMapped: true,
  host: source('host'),
  organization: null,
  candidates: null,
  turn: 0,
  boundTo: 'pass:pass',
  windowMints: 1,
  isUnsigned: false,
}

interface Upstream extends Partial<Pick<TokenDeps, 'mintAtZoom'>> {
  refused?: string[]
  lookUp?: string
  target?: Partial<Awaited<ReturnType<TokenDeps['targetNow']>>>
}

function start(deps: Upstream = {}) {
  const settled: Parameters<TokenDeps['settle']>[1][] = []
  const borrowed: string[] = []
  const lookedUp: Parameters<TokenDeps['lookUp']>[] = []
  const vault: TokenDeps['vault'] = {
    async withAccessToken(grantId, use) {
      borrowed.push(grantId)
      if (deps.refused?.includes(grantId)) throw new AppError('reconnect_required', 'dead')
      return await use('access-token')
    },
  }
  const { mintAtZoom = async () => 'token' } = deps
  const tokens = createTokenService({
    vault,
    lend: async () => ({ accessToken: 'access-token', expiresAt: new Date() }),
    mintAtZoom,
    settle: (_kind, settlement) => settled.push(settlement),
    async lookUp(...asked) {
      lookedUp.push(asked)
      return deps.lookUp ?? 'looked_up'
    },
    targetNow: async () => ({ isMapped: true, host: source('found'), organization: null, ...deps.target }),
    zoomTimeoutMs: 2000,
  })
  const mint = (opened: Partial<TokenRequest['opened']> = {}, leftMs = 4500) =>
    tokens.mint({
      opened: { ...OPENED, ...opened },
      claimedMeetingId: undefined,
      remainingMs: () => leftMs,
      elapsedMs: () => 1,
    })
  return { mint, settled, borrowed, lookedUp }
}

test('a token that comes after the bot’s patience is not handed out, and the ledger does not say it was', async () => {
  const zoom = Promise.withResolvers<string>()
  const { mint, settled } = start({ mintAtZoom: () => zoom.promise })
  await expect(mint({}, 20)).rejects.toMatchObject({ code: 'zoom_timeout' })
  zoom.resolve('token')
  await zoom.promise
  expect(settled).toMatchObject([{ outcome: 'zoom_timeout', reason: 'deadline' }])
})

test('of one grant 50 calls are under way at most; who waits borrows the access token when its turn comes', async () => {
  const zoom = Promise.withResolvers<string>()
  const { mint, borrowed } = start({ mintAtZoom: () => zoom.promise })
  const minted = Array.from({ length: 60 }, () => mint())
  await expect.poll(() => borrowed.length).toBe(50)
  const neighbour = mint({ host: source('neighbour') })
  await expect.poll(() => borrowed.at(-1)).toBe('grant-neighbour')
  expect(borrowed).toHaveLength(51)
  zoom.resolve('token')
  await Promise.all([...minted, neighbour])
  expect(borrowed).toHaveLength(61)
})

test('OBF takes the first connected of its users, moves on with each call, and past one whose grant turns out dead', async () => {
  const candidates = [null, source('a'), source('b')]
  const { mint, borrowed } = start({ refused: ['grant-b'] })
  for (const turn of [0, 1, 2]) await mint({ kind: 'obf', candidates, turn })
  expect(borrowed).toEqual(['grant-a', 'grant-b', 'grant-a', 'grant-a'])
})

test('an organization stands in for a host whose grant turns out dead, never for a blocked one', async () => {
  const { mint, borrowed } = start({ refused: ['grant-host'] })
  expect(await mint({ organization: source('org') })).toBe('token')
  expect(borrowed).toEqual(['grant-host', 'grant-org'])
  const blocked = { ...source('host'), status: 'blocked' as const, statusReason: 'admin_disabled' }
  await expect(mint({ host: blocked, organization: source('org') })).rejects.toMatchObject({ code: 'host_blocked' })
})

const UNMAPPED = { isMapped: false, host: null }

test('only a mint that needs the meeting’s host, who is not known, asks whose it is', async () => {
  const { mint, lookedUp } = start()
  await mint()
  await mint({ kind: 'obf', candidates: [source('a')], ...UNMAPPED })
  await mint({ kind: 'access', meetingId: null, isMapped: false })
  await expect(mint({ host: null })).rejects.toMatchObject({ code: 'host_not_connected' })
  expect(lookedUp).toEqual([])
  for (const kind of ['join', 'zak', 'obf'] as const)
    await expect(mint({ kind, ...UNMAPPED })).rejects.toMatchObject({ code: 'meeting_not_mapped' })
  expect(lookedUp.length).toBe(3)
})

test('the question leaves the mint as much of the bot’s patience as one call to Zoom may take', async () => {
  const { mint, lookedUp } = start({ lookUp: 'found' })
  await mint(UNMAPPED, 4400)
  expect(lookedUp).toEqual([['tenant', '111111111', 2400]])
})

test('the ledger names the host that was found, also where Zoom then refuses the token', async () => {
  const refusal = new AppError('local_recording_disabled', 'off', { zoomStatus: 400, zoomCode: 3000 })
  const minting = start({ lookUp: 'found' })
  await minting.mint(UNMAPPED)
  const refusing = start({ lookUp: 'found', mintAtZoom: () => Promise.reject(refusal) })
  await expect(refusing.mint(UNMAPPED)).rejects.toMatchObject({ code: 'local_recording_disabled' })
  expect([minting.settled, refusing.settled]).toMatchObject([
    [{ outcome: 'minted', hostId: 'found' }],
    [{ outcome: 'local_recording_disabled', hostId: 'found' }],
  ])
})

test('the map decides and not the answer: what was found and did not stay mapped gives no token', async () => {
  const { mint, settled } = start({ lookUp: 'found', target: UNMAPPED })
  await expect(mint(UNMAPPED)).rejects.toMatchObject({ code: 'meeting_not_mapped' })
  expect(settled).toMatchObject([{ outcome: 'meeting_not_mapped', reason: 'looked_up', hostId: null }])
})
