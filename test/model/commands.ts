import fc from 'fast-check'
import type { Call } from './ledger.ts'
import type { Replica, StatementFault } from './replica.ts'
import { inspect, raise } from './settle.ts'
import type { User, World } from './world.ts'
import type { Effect } from './zoom.ts'

type Model = { world: World }
type Command = fc.AsyncCommand<Model, World>

const LABELS = [
  'grant_acquire',
  'grant_persist',
  'grant_persist',
  'grant_verdict',
  'grant_release',
  'grant_shorten',
  'grant_note_ambiguous',
  'grant_read',
  'grant_stored',
  'grant_reconnect',
  'grant_admit',
  'grant_disconnect',
  'grant_stale',
]
const EFFECTS: Effect[] = [
  '500 before',
  '500 after',
  '429',
  'invalid_client',
  'blocked',
  'unknown refusal',
  'unreadable after',
]

const slot = fc.constantFrom<0 | 1>(0, 1)
/** Mostly one user, so that the commands meet. */
const person = fc.constantFrom<0 | 1>(0, 0, 0, 0, 1)
const pick = fc.nat({ max: 7 })

const travelling = ({ ledger }: World) => ledger.calls.filter((call) => call.isTravelling)
const isAwake = ({ isDead, isPaused }: Replica) => !isDead && !isPaused
const waiting = ({ ledger }: World) => ledger.calls.filter(({ ending, replica }) => ending === null && isAwake(replica))
const answered = (world: World) => waiting(world).filter(({ reply }) => reply !== null)
const unsent = (world: World) => waiting(world).filter(({ isTravelling }) => isTravelling)
const held = (world: World) => world.held()
const chosen = <T>(list: T[], index: number) => list[index % list.length] as T

interface Step {
  name: string
  isPossible?: (world: World) => boolean
  run: (world: World) => void | Promise<void>
}

/** One step, after which everything that it set off has run as far as it can without another. */
function command({ name, isPossible = () => true, run }: Step): Command {
  return {
    check: ({ world }) => isPossible(world),
    async run(_model, world) {
      await run(world)
      await world.rest()
      raise(world)
      for (const user of world.users) await inspect(world, user)
      raise(world)
    },
    toString: () => name,
  }
}

const replicaOf = (world: World, index: 0 | 1) => world.replicas[index]
const userOf = (world: World, index: 0 | 1) => world.users[index] as User
const label = (index: 0 | 1, names: string) => names.split('/')[index]
const who = (replica: 0 | 1, user: 0 | 1) => `${label(user, 'ann/bob')} on ${label(replica, 'A/B')}`

/** A step that needs one of what there is just now. */
const onOne = <T>(
  name: string,
  list: (world: World) => T[],
  index: number,
  run: (one: T, world: World) => void,
): Command =>
  command({
    name: `${name} #${index}`,
    isPossible: (world) => list(world).length > 0,
    run: (world) => run(chosen(list(world), index), world),
  })

const users: fc.Arbitrary<Command>[] = [
  fc.tuple(slot, person).map(([r, u]) =>
    command({
      name: `expire, mint ${who(r, u)}`,
      async run(world) {
        await world.expire(userOf(world, u))
        world.mint(replicaOf(world, r), userOf(world, u))
      },
    }),
  ),
  fc
    .tuple(slot, person)
    .map(([r, u]) =>
      command({ name: `mint ${who(r, u)}`, run: (world) => void world.mint(replicaOf(world, r), userOf(world, u)) }),
    ),
  fc
    .tuple(slot, person)
    .map(([r, u]) =>
      command({ name: `warm ${who(r, u)}`, run: (world) => world.warm(replicaOf(world, r), userOf(world, u)) }),
    ),
  person.map((u) =>
    command({ name: `access token of ${label(u, 'ann/bob')} ends`, run: (world) => world.expire(userOf(world, u)) }),
  ),
  person.map((u) =>
    command({
      name: `${label(u, 'ann/bob')} removes the app`,
      run: (world) => void world.zoom.revoke(userOf(world, u).zoomUserId),
    }),
  ),
  fc.tuple(slot, person).map(([r, u]) =>
    command({
      name: `${who(r, u)} authorises`,
      run: (world) => world.authorize(replicaOf(world, r), userOf(world, u)),
    }),
  ),
  pick.map((index) =>
    onOne(
      'admit',
      (world) => world.arrivals().filter(({ replica }) => isAwake(replica)),
      index,
      (one, world) => world.admit(one),
    ),
  ),
  fc.tuple(slot, person, fc.boolean()).map(([r, u, revoke]) =>
    command({
      name: `let go of ${who(r, u)}${revoke ? ', revoking' : ''}`,
      isPossible: (world) => !replicaOf(world, r).isPaused,
      run: (world) => world.disconnect(replicaOf(world, r), userOf(world, u), revoke),
    }),
  ),
]

function complete(call: Call, world: World): void {
  if (call.isTravelling) world.endpoint.handle(call, 'normal')
  world.endpoint.answer(call)
}

const network: fc.Arbitrary<Command>[] = [
  fc
    .tuple(pick, fc.constantFrom<Effect>('normal', 'normal', 'normal', ...EFFECTS))
    .map(([index, effect]) =>
      onOne(`Zoom handles (${effect})`, travelling, index, (call, world) => world.endpoint.handle(call, effect)),
    ),
  pick.map((index) => onOne('answer arrives', answered, index, (call, world) => world.endpoint.answer(call))),
  pick.map((index) => onOne('exchange completes', waiting, index, complete)),
  fc.tuple(pick, fc.constantFrom('timeout', 'broken', 'not_sent'), fc.boolean()).map(([index, ending, isLost]) => {
    const list = ending === 'not_sent' ? unsent : waiting
    return onOne(`${ending}${isLost ? ', request lost' : ''}`, list, index, (call: Call, world) => {
      if (isLost || ending === 'not_sent') call.isTravelling = false
      world.endpoint.breakOff(call, ending)
    })
  }),
]

const gateway = pick.map((index) =>
  onOne('a gateway answers 504', unsent, index, (call, world) => world.endpoint.failAtGateway(call)),
)

/** The refresh of one user that one replica waits for. */
const callOf = (world: World, replica: Replica, user: User) =>
  waiting(world).find((call) => call.replica === replica && call.grantId === user.grantId)

type Told = (world: World, replica: Replica, user: User) => void | Promise<void>

const story = <T extends string>(name: (who: string, how: T) => string, hows: T[], tell: (how: T) => Told) =>
  fc
    .tuple(slot, person, fc.constantFrom(...hows))
    .map(([r, u, how]) =>
      command({ name: name(who(r, u), how), run: (world) => tell(how)(world, replicaOf(world, r), userOf(world, u)) }),
    )

/** A user whose access token has ended mints; gives the refresh that this sends. */
async function beginRefresh(world: World, replica: Replica, user: User): Promise<Call | undefined> {
  await world.expire(user)
  world.mint(replica, user)
  await world.rest()
  return callOf(world, replica, user)
}

/** Stories that chance seldom tells: nobody hears of a refresh again, its sender sleeps through it, another replica takes over. */
const stories: fc.Arbitrary<Command>[] = [
  story(
    (who, how) => `expire, mint ${who}, its answer is lost (request ${how})`,
    ['handled', 'late'],
    (how) => {
      return async (world, replica, user) => {
        const call = await beginRefresh(world, replica, user)
        if (call?.isTravelling && how === 'handled') world.endpoint.handle(call, 'normal')
        if (call) world.endpoint.breakOff(call, 'timeout')
      }
    },
  ),
  story(
    (who, how) => `expire, mint ${who}, which is stopped (request ${how})`,
    ['handled', 'late'],
    (how) => {
      return async (world, replica, user) => {
        const call = await beginRefresh(world, replica, user)
        if (call?.isTravelling && how === 'handled') world.endpoint.handle(call, 'normal')
        replica.isPaused = true
      }
    },
  ),
  story(
    (who, how) => `46 s pass, mint ${who}, its exchange ${how}`,
    ['completes', 'begins'],
    (how) => {
      return async (world, replica, user) => {
        await world.passTime(46)
        await world.rest()
        world.mint(replica, user)
        await world.rest()
        const call = callOf(world, replica, user)
        if (call && how === 'completes') complete(call, world)
      }
    },
  ),
]

const processes: fc.Arbitrary<Command>[] = [
  slot.map((r) => command({ name: `kill ${label(r, 'A/B')}`, run: (world) => world.kill(r) })),
  slot.map((r) =>
    command({
      name: `stop ${label(r, 'A/B')}`,
      isPossible: (world) => !replicaOf(world, r).isPaused,
      run(world) {
        replicaOf(world, r).isPaused = true
      },
    }),
  ),
  slot.map((r) =>
    command({
      name: `continue ${label(r, 'A/B')}`,
      isPossible: (world) => replicaOf(world, r).isPaused,
      run: (world) => world.resume(replicaOf(world, r)),
    }),
  ),
  fc
    .constantFrom(1, 6, 46)
    .map((seconds) => command({ name: `${seconds} s pass`, run: (world) => world.passTime(seconds) })),
]

const fault: fc.Arbitrary<StatementFault> = fc.record({
  label: fc.constantFrom(...LABELS),
  phase: fc.constantFrom('before', 'after'),
  kind: fc.constantFrom('fail', 'hold'),
})
const database: fc.Arbitrary<Command>[] = [
  fc.tuple(slot, fault).map(([r, one]) =>
    command({
      name: `${one.kind} ${one.label} of ${label(r, 'A/B')} ${one.phase}`,
      run: (world) => void replicaOf(world, r).faults.push(one),
    }),
  ),
  pick.map((index) => onOne('statement goes on', held, index, (one) => one.release())),
]

const [refresh, mint, ...rare] = users as [fc.Arbitrary<Command>, fc.Arbitrary<Command>, ...fc.Arbitrary<Command>[]]
const often = [refresh, refresh, refresh, mint, ...network, ...network, ...database]

/** Steps of users, network, processes and database in any order; those without which nothing happens come more often. */
export const commands = (maxCommands: number, replayPath?: string) =>
  fc.commands([...often, ...often, ...often, ...stories, ...stories, ...rare, gateway, ...processes, ...processes], {
    maxCommands,
    size: 'max',
    ...(replayPath ? { replayPath } : {}),
  })
