// Preloaded into a replica (NODE_OPTIONS=--import=…): its wall clock is off by CLOCK_SKEW_MS, its monotonic clock is right.
const skewMs = Number(process.env.CLOCK_SKEW_MS)
const TrueDate = Date

globalThis.Date = new Proxy(TrueDate, {
  construct: (target, given: [], newTarget) =>
    Reflect.construct(target, given.length === 0 ? [TrueDate.now() + skewMs] : given, newTarget),
  apply: () => new TrueDate(TrueDate.now() + skewMs).toString(),
  get: (target, name, receiver) =>
    name === 'now' ? () => TrueDate.now() + skewMs : Reflect.get(target, name, receiver),
})
