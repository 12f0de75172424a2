import { expect, test } from 'vitest'
import type { FreshToken } from '../../../src/grants/attempt.ts'
import { createLender } from '../../../src/grants/lender.ts'
import { createLifeRules } from '../../../src/grants/life.ts'

const HOUR_SECONDS = 3600

/** A refresher whose flights bring tokens with so much life left, one after the other. */
function start(livesSeconds: number[], issuedSeconds = HOUR_SECONDS) {
  const life = createLifeRules(300)
  const asked: (number | undefined)[] = []
  const refresher = {
    async run(_grantId: string, leastSeconds?: number): Promise<FreshToken> {
      asked.push(leastSeconds)
      const lifeSeconds = livesSeconds[asked.length - 1] ?? Number.NaN
      if (lifeSeconds >= issuedSeconds - 1) life.noteIssued(issuedSeconds)
      return { accessToken: `token-${asked.length}`, gen: 1n, lifeSeconds, expiresAtSeconds: 1000 + lifeSeconds }
    },
  }
  const lend = (leastSeconds: number, deadlineMs = 1000) =>
    createLender(refresher, life).lend('grant', { leastSeconds, deadlineMs })
  return { lend, asked }
}

test('lends what has life enough, and says when it ends', async () => {
  const { lend, asked } = start([200])
  expect(await lend(120)).toEqual({ accessToken: 'token-1', expiresAt: new Date(1_200_000) })
  expect(asked).toEqual([120])
})

test('looks again where a flight that it joined was after less', async () => {
  const { lend } = start([61, HOUR_SECONDS])
  expect((await lend(120)).accessToken).toBe('token-2')
})

test('gives up where others’ flights bring too little time after time', async () => {
  const { lend, asked } = start([61, 61, 61, 61])
  await expect(lend(120)).rejects.toMatchObject({ code: 'zoom_timeout' })
  expect(asked).toHaveLength(3)
})

test('takes what Zoom issues where that is less than was asked, and has half of it renewed at the earliest', async () => {
  const { lend, asked } = start([600, 301], 600)
  expect((await lend(3000)).accessToken).toBe('token-1')
  expect((await lend(3000)).accessToken).toBe('token-2')
  expect(asked).toEqual([3000, 300])
})

test('waits no longer than its caller does', async () => {
  const lender = createLender({ run: () => new Promise(() => {}) }, createLifeRules(300))
  await expect(lender.lend('grant', { leastSeconds: 120, deadlineMs: 1 })).rejects.toMatchObject({
    code: 'zoom_timeout',
  })
})
