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

function start(deps: Partial<Pick<TokenDeps, 'mintAtZoom'>> & { refused?: string[] } = {}) {
  const settled: Parameters<TokenDeps['settle']>[1][] = []
  const borrowed: string[] = []
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
    zoomTimeoutMs: 2000,
  })
  const mint = (opened: Partial<TokenRequest['opened']> = {}, leftMs = 4500) =>
    tokens.mint({
      opened: { ...OPENED, ...opened },
      claimedMeetingId: undefined,
      remainingMs: () => leftMs,
      elapsedMs: () => 1,
    })
  return { mint, settled, borrowed }
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
