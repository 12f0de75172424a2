import { type Call, faultOf } from './ledger.ts'
import type { Replica } from './replica.ts'
import type { User, World } from './world.ts'

const STEP_SECONDS = 3
const MOST_STEPS = 60
const LONGER_THAN_A_LEASE_SECONDS = 50

/** @throws what the model has found wrong so far */
export function raise({ ledger }: World): void {
  if (ledger.violations.length > 0) throw new Error(ledger.violations.join('\n'))
}

/** Holds what the database says of a grant against what Zoom would say; only where nobody is about to change it. */
export async function inspect(world: World, user: User, isProbed = false): Promise<void> {
  const { ledger } = world
  if (world.isBusyFor(user)) return
  const truth = await world.truthOf(user)
  if (truth.status === 'disconnected') {
    if (!user.isLetGo) ledger.violations.push(`${user.name} was let go although nobody asked for it`)
    return
  }
  const holder = world.holderOf(user)
  if (holder && truth.fate !== 'live') {
    if (isProbed) ledger.violations.push(`${holder.name} threw the living pair of ${user.name} away`)
    return // it is about to store it
  }
  const isUnclear = ledger.isUnclear(user.grantId, truth.gen, truth.leaseSeq)
  if (isProbed) ledger.count(`end: ${truth.status}, ${truth.reason}, ${truth.fate}`)
  const fault = faultOf(truth, { isUnclear, isProbed })
  if (fault) ledger.violations.push(`${user.name}: ${fault}`)
}

/** Everything that is on its way arrives. */
async function deliverAll(world: World, replicas: readonly Replica[]): Promise<void> {
  for (const replica of replicas) {
    replica.faults = []
    for (const held of [...replica.held]) held.release()
    if (replica.isPaused) world.resume(replica)
  }
  for (const arrival of world.arrivals()) world.admit(arrival)
  await world.rest()
  for (const call of world.ledger.calls) if (call.isTravelling) world.endpoint.handle(call, 'normal')
  const isOpen = (call: Call) => call.reply !== null && call.ending === null
  for (const call of world.ledger.calls.filter(isOpen)) world.endpoint.answer(call)
  await world.rest()
}

async function finish(world: World, replicas: readonly Replica[]): Promise<void> {
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    await deliverAll(world, replicas)
    if (world.unfinished().length === 0 && replicas.every((replica) => world.endpoint.waiting(replica).length === 0))
      return
    await world.passTime(STEP_SECONDS)
    await world.rest()
  }
  const left = world.unfinished().map(({ what, replica }) => `${what} on ${replica.name} never ended`)
  world.ledger.violations.push(...left)
}

/** The end of a run: all is delivered, both replicas stop in good order, and a third asks for every token. */
export async function settle(world: World): Promise<void> {
  await finish(world, world.replicas)
  for (const replica of world.replicas) world.drain(replica)
  await finish(world, world.replicas)
  raise(world)
  await world.passTime(LONGER_THAN_A_LEASE_SECONDS)
  await world.unblock()
  const last = world.newReplica()
  for (const user of world.users) {
    await inspect(world, user)
    await world.expire(user)
    const mint = world.mint(last, user)
    await finish(world, [last])
    await inspect(world, user, true)
    const { status } = await world.truthOf(user)
    if (mint.result !== TOLD[status])
      world.ledger.violations.push(`${user.name} is ${status}, a bot is told ${mint.result}`)
  }
  raise(world)
}

const TOLD: Record<string, string> = {
  connected: 'ok',
  reconnect_required: 'reconnect_required',
  disconnected: 'host_not_connected',
}
