import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { GRANT, LEASE, LIVING, RENEWED, ROTATED, ROW, rowWith, startReading } from '../../helpers/bare-lease.ts'

// whoever waits for another replica waits as the test lets time pass
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const HELD = rowWith({ leaseOwner: 'other', leaseLeftSeconds: 44 })
const ADOPTED = { accessToken: 'a6', gen: 6n, lifeSeconds: 3599, expiresAtSeconds: 4600 }
const TIMED_OUT = {
  code: 'zoom_timeout',
  retryAfterSeconds: 5,
  message: 'The access token was not renewed in time; try again.',
}

/** Lets time pass on the service's clock and for whoever sleeps. */
async function pass({ clock }: ReturnType<typeof startReading>, ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(0)
  for (let passed = 0; passed < ms; passed += 20) {
    clock.ms += 20
    await vi.advanceTimersByTimeAsync(20)
  }
}
/** Tells whether it has settled by now. */
function watch(promise: Promise<unknown>): () => boolean {
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  promise.then(settle, settle)
  return () => isSettled
}

describe('where another replica holds the lease', () => {
  test('its pair is adopted as soon as it is seen, counted once, and nothing is sent', async () => {
    const world = startReading([HELD, HELD, RENEWED])
    const lent = Promise.all([world.refresher.run(GRANT), world.refresher.run(GRANT)])
    await pass(world, 900)
    expect(await lent).toEqual([ADOPTED, ADOPTED])
    expect(world.counted).toEqual([['adopted']])
    expect(world.namesOf()).toEqual(['read', 'read', 'read'])
  })

  test.each([
    [0, 100],
    [0.999_999, 400],
  ])('the row is looked at every 100 to 400 ms: at random %d after %i ms', async (random, ms) => {
    vi.spyOn(Math, 'random').mockReturnValue(random)
    const world = startReading([HELD, RENEWED])
    const lent = world.refresher.run(GRANT)
    await pass(world, ms - 20)
    expect(world.callsOf('read')).toHaveLength(1)
    await pass(world, 20)
    expect([await lent, world.callsOf('read').length]).toEqual([ADOPTED, 2])
  })

  test('and lets it go without a pair, this one takes it, which is no adoption', async () => {
    const world = startReading([HELD, ROW])
    const lent = world.refresher.run(GRANT)
    await pass(world, 400)
    expect(await lent).toMatchObject({ accessToken: 'a6', lifeSeconds: 3600 })
    expect(world.counted).toEqual([['refresh', 'ok', 0]])
  })

  test('a token that lives is lent all the same', async () => {
    const { refresher, counted } = startReading([rowWith({ ...LIVING, leaseOwner: 'other', leaseLeftSeconds: 44 })])
    expect(await refresher.run(GRANT)).toMatchObject({ accessToken: 'a5' })
    expect(counted).toEqual([])
  })

  test('nobody waits for longer than 20 s', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0)
    const world = startReading([HELD])
    const asked = world.refresher.run(GRANT)
    const isAnswered = watch(asked)
    await pass(world, 19_980)
    expect(isAnswered()).toBe(false)
    await pass(world, 20)
    await expect(asked).rejects.toMatchObject(TIMED_OUT)
    expect(world.callsOf('read')).toHaveLength(200)
  })
})

describe('a row that is older than what was seen', () => {
  const CONDEMNED = rowWith({ status: 'reconnect_required', statusReason: 'restored_backup' })

  test('as the history of its own database tells gives the lease back and must reconnect: nothing of it is spent', async () => {
    const { refresher, next, callsOf } = startReading([ROW, CONDEMNED])
    const lease = { ...LEASE, isBehindHistory: true }
    next.acquire = [lease]
    await expect(refresher.run(GRANT)).rejects.toMatchObject({ code: 'reconnect_required', reason: 'restored_backup' })
    expect(callsOf('release')).toEqual([[GRANT, lease, null]])
    expect([callsOf('condemnRestored'), callsOf('refresh')]).toEqual([[[GRANT, 5n]], []])
  })

  test('as this process remembers is dealt with, and read again', async () => {
    const { refresher, watermarks, callsOf } = startReading([LIVING, CONDEMNED])
    watermarks.note(GRANT, { gen: 6n, storedAtSeconds: 100 })
    await expect(refresher.run(GRANT)).rejects.toMatchObject({ code: 'reconnect_required', reason: 'restored_backup' })
    expect([callsOf('condemnRestored'), callsOf('acquire')]).toEqual([[[GRANT, 5n]], []])
  })
})

describe('a renewal ahead of need', () => {
  test('renews the generation that was seen although its token lives', async () => {
    const { refresher, callsOf } = startReading([LIVING])
    expect(await refresher.renew(GRANT, 5n)).toMatchObject({ accessToken: 'a6', gen: 6n })
    expect(callsOf('acquire')).toHaveLength(1)
  })

  test('leaves a later generation alone: somebody else has renewed it', async () => {
    const { refresher, namesOf } = startReading([RENEWED])
    expect(await refresher.renew(GRANT, 5n)).toEqual(ADOPTED)
    expect(namesOf()).toEqual(['read'])
  })

  test('renews a blocked user’s grant too, which would otherwise end with its refresh token', async () => {
    const { refresher } = startReading([rowWith({ blockedReason: 'admin_disabled' })])
    expect(await refresher.renew(GRANT, 5n)).toMatchObject({ gen: 6n })
    await expect(refresher.run(GRANT)).rejects.toMatchObject({ code: 'host_blocked' })
  })
})

describe('a process that stops', () => {
  test('waits for the refresh that is under way, whose pair would else be lost', async () => {
    const world = startReading([ROW])
    const zoom = Promise.withResolvers()
    world.next.refresh = [() => zoom.promise]
    const lent = world.refresher.run(GRANT)
    await pass(world, 20)
    const isDrained = watch(world.refresher.drain())
    await pass(world, 5000)
    expect(isDrained()).toBe(false)
    zoom.resolve(ROTATED)
    await pass(world, 20)
    expect([await lent, isDrained()]).toMatchObject([{ gen: 6n }, true])
  })

  test('does not wait for other replicas’ refreshes, nor begins any', async () => {
    const world = startReading([HELD])
    const waiting = expect(world.refresher.run(GRANT)).rejects.toMatchObject(TIMED_OUT)
    await pass(world, 20)
    const drained = world.refresher.drain()
    await pass(world, 420)
    await Promise.all([waiting, drained])
    await expect(world.refresher.run(GRANT)).rejects.toMatchObject(TIMED_OUT)
    expect(world.namesOf()).toEqual(['read'])
  })

  test('that refreshes nothing is drained at once', async () => {
    await startReading([ROW]).refresher.drain()
  })
})
