import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { eventually } from '../support/eventually.ts';
import { FAULT_KINDS, type FaultKind, type FaultName } from './fault-kinds.ts';
import { readRuns, type Verdict, VIOLATIONS } from './oracle.ts';
import { root } from './places.ts';
import { type PlannedFault, plan } from './plan.ts';
import { Random } from './random.ts';
import { machine, type Report, versions } from './report.ts';
import type { Slot, SlotKind } from './slot.ts';
import { linesWith, Trace } from './trace.ts';
import { PATIENCE, World } from './world.ts';

export interface TierOptions {
  readonly name: string;
  readonly seed: number;
  readonly events: number;
  readonly faults: number;
  readonly nodes: 1 | 3;
  /** Of a run that is done again; else the seed decides. */
  readonly replay?: readonly PlannedFault[];
  /** Events per second that the producers aim at together. */
  readonly rate: number;
  /** Queues that are consumed. @default both */
  readonly consumers?: readonly Consumer[];
  /** The faults to draw from. @default all that the oracle's sums survive */
  readonly only?: readonly FaultName[];
  /** Whom faults may hit. @default all */
  readonly victims?: readonly SlotKind[];
  readonly producerEnv?: NodeJS.ProcessEnv;
  readonly consumerEnv?: NodeJS.ProcessEnv;
  /** How far the broker is from the consumers, for the length of the run, each way. @default 0 */
  readonly consumerDelayMs?: number;
  /** A library of `peers/`, whose producers publish themselves, instead of ours. */
  readonly peer?: string;
  /** Looks at the oracle while things flow, and ends at the first violation. @default false */
  readonly stopsAtFirst?: boolean;
  /** No fault at work and nothing gets done for so long: it will not get done. @default 60 s, more on a busy machine */
  readonly stuckMs?: number;
  readonly say: (line: string) => void;
  /** Where the log of faults goes. */
  readonly logFile: string;
  /** Changes of the settings of all processes. */
  readonly settings?: object;
}

export const TIERS = {
  pr: { events: 20_000, faults: 12, nodes: 1, rate: 400 },
  ci: { events: 100_000, faults: 40, nodes: 1, rate: 400 },
  record: { events: 1_000_000, faults: 200, nodes: 3, rate: 700 },
} as const satisfies Record<string, Pick<TierOptions, 'events' | 'faults' | 'nodes' | 'rate'>>;

/** Each is a queue of its own: `ordered` has a single active consumer, `pool` has competing ones. */
export const CONSUMERS = ['ordered', 'pool'] as const;
export type Consumer = (typeof CONSUMERS)[number];
const STUCK_MS = 60_000 * PATIENCE;
/** Attempts are five; a fault may repeat each of them, and double the copy that waits. Above this a message spins. */
const MOST_RUNS = 30;
/** To consume and to publish. */
const MOST_CONNECTIONS = 2;
/** What RabbitMQ says of an ack on another channel than the delivery's, most of the time. */
const UNKNOWN_TAG = 'unknown delivery tag';

interface LoggedFault extends PlannedFault {
  readonly inFlight: { readonly unconfirmed: number; readonly unacked: number; readonly outboxRows: number };
  /** From the heal until the one that was hit, or anybody, got something done. */
  recoveredMs?: number | undefined;
  error?: string;
}

/** `pool-2` takes several messages in one transaction; with handlers that take their time they would only queue up. */
const sharesTransactions = (consumer: Consumer, number: number, env: NodeJS.ProcessEnv) =>
  consumer === 'pool' && number === 2 && env.FAULTS_WORK_MS === undefined;

export const consumerSlot = (consumer: Consumer, number: number, env: NodeJS.ProcessEnv = {}) => ({
  name: `${consumer}-${number}`,
  kind: 'consumer' as const,
  settings: {
    queue: { name: consumer, singleActiveConsumer: consumer === 'ordered' },
    ...(sharesTransactions(consumer, number, env) ? { inbox: { group: 10 } } : {}),
  },
  env: { FAULTS_CONSUMER: consumer, FAULTS_ORDERED: consumer === 'ordered' ? '1' : '0', ...env },
});

/** One run: servers, processes, load, faults, and what the oracle says in the end. */
export async function runTier(options: TierOptions): Promise<Report> {
  const { say, seed, nodes, settings = {}, consumers = CONSUMERS } = options;
  const startedAt = new Date();
  const began = performance.now();
  const world = await World.create({ nodes, settings });
  const trace = new Trace(join(world.folder, 'trace.log'));
  const watch = new Watch(world, options.stopsAtFirst ?? false);
  try {
    await (options.peer === undefined ? addSlots : addPeers)(world, options);
    const planned = options.replay ?? plan({ ...options, slots: world.slots });
    // A process tells other services of itself over one connection more, which names itself in its start-ok.
    const telling = new WeakSet<object>();
    for (const slot of world.slots) {
      for (const proxy of slot.amqp)
        proxy.watch(({ bytes }, direction, wire) => {
          if (direction === 'to-server' && bytes.includes('connection_name') && bytes.includes(' services'))
            telling.add(wire);
        });
    }
    await world.startConsumers(world.slots.filter(({ kind }) => kind === 'consumer'));
    for (const slot of world.slots) trace.watch(slot);
    for (const slot of world.slots) if (slot.kind !== 'consumer') slot.start();
    say(
      `${options.name}: ${options.events} events, ${planned.length} faults, seed ${seed}, ready after ${seconds(began)}`,
    );
    watch.start();
    const faults = await new Injector(world, options, trace, watch).run(planned);
    say(`faults are over after ${seconds(began)}`);
    const { verdict, stuckRows, drainMs } = await settle(world, options, watch);
    const usage = Object.fromEntries(world.slots.map((slot) => [slot.name, slot.usage()]));
    const wires = world.slots.map((slot) => slot.amqp.flatMap((proxy) => proxy.wires));
    const tells = (wire: object) => telling.has(wire);
    const connections = wires.map((all) => all.filter((wire) => !tells(wire)).length);
    await stopAll(world, watch);
    const runs = readRuns(world.runsFile, verdict.effects);
    const unknownTags = world.brokerLog(UNKNOWN_TAG).length;
    const overlapped = faults.filter(({ inFlight }) => inFlight.unconfirmed + inFlight.unacked > 0).length;
    const wrong = VIOLATIONS.filter((name) => verdict[name] !== 0).map((name) => `${verdict[name]} ${name}`);
    if (stuckRows > 0 && watch.violation === undefined) wrong.push(`${stuckRows} rows stuck in the outbox`);
    if (runs.most > MOST_RUNS) wrong.push(`a message was handled ${runs.most} times`);
    if (unknownTags > 0) wrong.push(`${unknownTags} acks with an unknown delivery tag`);
    if (wires.some((all) => all.filter(tells).length > 1)) wrong.push('a process tells of itself over two connections');
    if (Math.max(...connections) > MOST_CONNECTIONS)
      wrong.push(`a process has ${Math.max(...connections)} connections to the broker`);
    wrong.push(...world.unaskedExits);
    for (const { fault, error } of faults) if (error !== undefined) wrong.push(`the fault "${fault}" failed: ${error}`);
    const problems = watch.violation === undefined ? wrong : [watch.violation];
    return {
      tier: options.name,
      seed,
      startedAt: startedAt.toISOString(),
      seconds: Math.round((performance.now() - began) / 1000),
      versions: await versions(world),
      machine: machine(),
      outcome:
        problems.length > 0 ? 'failed' : overlapped > 0 ? 'passed' : 'not run: no fault met a message on its way',
      problems,
      evidence: await evidence(world, trace, consumers),
      verdict,
      stuckRows,
      runs,
      faults: faults.length,
      faultsWithMessagesInFlight: overlapped,
      unaskedExits: world.unaskedExits.length,
      slowestRecoveryMs: Math.max(0, ...faults.map(({ recoveredMs }) => recoveredMs ?? 0)),
      drainMs,
      usage,
    };
  } finally {
    watch.stop();
    await world.destroy();
  }
}

/** Topology and processes of a peer. */
async function addPeers(
  world: World,
  { seed, rate, peer, producerEnv, consumers = CONSUMERS }: TierOptions,
): Promise<void> {
  const connection = await connect(world.rabbit.url);
  const channel = await connection.createChannel();
  await channel.assertExchange('ledger', 'topic');
  for (const queue of consumers) {
    const single = queue === 'ordered' ? { 'x-single-active-consumer': true } : {};
    await channel.assertQueue(queue, { arguments: { 'x-queue-type': 'quorum', ...single } });
    await channel.bindQueue(queue, 'ledger', 'entry.#');
  }
  await connection.close();
  const env = { ...process.env, FAULTS_PEER: peer, FAULTS_DATABASE_URL: world.postgres.url };
  execFileSync(process.execPath, [join(root, 'test/faults/peers/set-up.mjs')], { env, stdio: 'inherit' });
  // By its address: the processes run in the folder of the run, which has no packages.
  const tsx = import.meta.resolve('tsx');
  const command = (role: string) => ['--import', tsx, join(root, 'test/faults/peers', `${role}.mjs`)];
  for (const i of [1, 2]) {
    const env = {
      FAULTS_SEED: String(seed * 10 + i),
      FAULTS_RATE: String(rate / 2),
      FAULTS_PEER: peer,
      ...producerEnv,
    };
    await world.addSlot({ name: `producer-${i}`, kind: 'producer', env, peer: command('producer') });
    if (peer === 'pg-transactional-outbox')
      await world.addSlot({ name: `relay-${i}`, kind: 'relay', env, peer: command('relay') });
  }
  for (const consumer of consumers) {
    for (const i of [1, 2]) {
      await world.addSlot({ ...consumerSlot(consumer, i, { FAULTS_PEER: peer }), peer: command('consumer') });
    }
  }
}

async function addSlots(
  world: World,
  { seed, rate, producerEnv, consumerEnv, consumerDelayMs, ...options }: TierOptions,
) {
  for (const i of [1, 2]) {
    const env = { FAULTS_SEED: String(seed * 10 + i), FAULTS_RATE: String(rate / 2), ...producerEnv };
    await world.addSlot({ name: `producer-${i}`, kind: 'producer', env });
  }
  for (const i of [1, 2]) await world.addSlot({ name: `relay-${i}`, kind: 'relay' });
  for (const consumer of options.consumers ?? CONSUMERS) {
    for (const i of [1, 2]) {
      const slot = await world.addSlot(consumerSlot(consumer, i, consumerEnv));
      if (consumerDelayMs !== undefined) for (const proxy of slot.amqp) proxy.delay(consumerDelayMs);
    }
  }
}

async function evidence(world: World, trace: Trace, consumers: readonly Consumer[]): Promise<string[]> {
  await trace.end();
  const lines: string[] = [];
  for (const { what, eventIds } of await world.oracle.suspects(consumers)) {
    lines.push(what, ...(await linesWith([trace.file, world.runsFile], eventIds)));
  }
  if (lines.length > 0) lines.push(...(await linesWith([trace.file], [' fault '])));
  return lines;
}

/** Looks at the oracle while things flow, for what has gone wrong for good by then. */
class Watch {
  readonly #world: World;
  readonly #isOn: boolean;
  #timer: NodeJS.Timeout | undefined;
  violation: string | undefined;

  constructor(world: World, isOn: boolean) {
    this.#world = world;
    this.#isOn = isOn;
  }

  start(): void {
    if (!this.#isOn) return;
    this.#timer = setTimeout(() => {
      // The database may be away just now.
      this.#look().then(
        () => this.start(),
        () => this.start(),
      );
    }, 1000);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const verdict = await this.#world.oracle.verdict([]);
    const found = (['ghosts', 'duplicateEffects', 'inversions'] as const).find((name) => verdict[name] > 0);
    const { most } = readRuns(this.#world.runsFile, verdict.effects);
    if (found) this.violation ??= `${verdict[found]} ${found}`;
    if (most > MOST_RUNS) this.violation ??= `a message was handled ${most} times`;
    const unknownTags = this.#world.brokerLog(UNKNOWN_TAG).length;
    if (unknownTags > 0) this.violation ??= `${unknownTags} acks with an unknown delivery tag`;
  }
}

/** Brings the faults when their time has come, several at once where they do not harm the same thing. */
class Injector {
  readonly #world: World;
  readonly #options: TierOptions;
  readonly #busy = new Map<string, Promise<void>>();
  readonly #log: LoggedFault[] = [];
  readonly #trace: Trace;

  readonly #watch: Watch;

  constructor(world: World, options: TierOptions, trace: Trace, watch: Watch) {
    this.#watch = watch;
    this.#trace = trace;
    this.#world = world;
    this.#options = options;
  }

  async run(planned: readonly PlannedFault[]): Promise<LoggedFault[]> {
    const { events, logFile } = this.#options;
    rmSync(logFile, { force: true });
    const written = () => this.#world.slots.reduce((sum, slot) => sum + slot.written, 0);
    const running: Promise<void>[] = [];
    for (const fault of planned) {
      await this.#reach(fault.at, written);
      if (this.#watch.violation !== undefined) break;
      running.push(this.#bring(fault));
    }
    await Promise.all(running);
    await this.#reach(events, written);
    return this.#log;
  }

  async #reach(events: number, written: () => number): Promise<void> {
    let last = written();
    let lastAtMs = performance.now();
    while (written() < events && this.#watch.violation === undefined) {
      if (written() > last || this.#busy.size > 0) {
        last = written();
        lastAtMs = performance.now();
      }
      if (performance.now() - lastAtMs > STUCK_MS) throw new Error(`the producers write nothing for ${STUCK_MS} ms`);
      await pause(50);
    }
  }

  async #bring(fault: PlannedFault): Promise<void> {
    const kind: FaultKind = FAULT_KINDS[fault.fault];
    const thing = fault.slot ?? String(kind.hits);
    const before = this.#busy.get(thing);
    const done = (before ?? Promise.resolve()).then(() => this.#harm(kind, fault));
    this.#busy.set(thing, done);
    await done;
    if (this.#busy.get(thing) === done) this.#busy.delete(thing);
  }

  async #harm(kind: FaultKind, fault: PlannedFault): Promise<void> {
    const world = this.#world;
    const slot = fault.slot === undefined ? undefined : world.slot(fault.slot);
    const outboxRows = await world.outboxRows().catch(() => -1);
    const logged: LoggedFault = { ...fault, inFlight: { ...world.inFlight(), outboxRows } };
    const note = (what: string) => this.#trace.note(fault.slot ?? 'server', `fault ${fault.fault} ${what}`);
    try {
      note('begins');
      const heal = await kind.inject(world, slot, new Random(fault.seed));
      await pause(fault.lastsMs);
      note('heals');
      await heal();
      const healedAt = performance.now();
      const affected = slot ? [slot] : world.slots;
      const recovered = () => affected.some(({ progressAtMs }) => progressAtMs > healedAt);
      await eventually('it recovers', async () => recovered(), 10_000).then(
        () => {
          logged.recoveredMs = Math.round(performance.now() - healedAt);
        },
        // One that waits behind the active consumer has nothing to do.
        () => undefined,
      );
    } catch (error) {
      logged.error = String(error);
    }
    this.#log.push(logged);
    appendFileSync(this.#options.logFile, `${JSON.stringify(logged)}\n`);
    const { unconfirmed, unacked } = logged.inFlight;
    this.#options.say(
      `  ${fault.fault}${slot ? ` (${slot.name})` : ''}: ${unconfirmed} unconfirmed, ${unacked} unacked, ${outboxRows} rows; ` +
        `${logged.error ?? (logged.recoveredMs === undefined ? 'nothing to do since' : `at work again after ${logged.recoveredMs} ms`)}`,
    );
  }
}

/** Ends the load, and waits until everything has arrived or nothing moves any more. */
async function settle(
  world: World,
  { say, consumers = CONSUMERS, stuckMs = STUCK_MS }: TierOptions,
  watch: Watch,
): Promise<{ verdict: Verdict; stuckRows: number; drainMs: number }> {
  const began = performance.now();
  await stopAll(world, watch, 'producer');
  const queues = consumers.flatMap((name) => [name, `${name}.retry.100`, `${name}.retry.300`]);
  const dead = consumers.map((name) => `${name}.dead`);
  const wanted = consumers.length * (await world.oracle.produced());
  let last = '';
  let movedAt = performance.now();
  while (watch.violation === undefined) {
    const rows = await world.outboxRows();
    const ended = (await world.oracle.effects()) + (await world.ready(dead).catch(() => 0));
    // A broker that a fault has not brought back is told of with the fault.
    const waiting = await world.ready(queues).catch(() => Number.NaN);
    const { unacked, unconfirmed } = world.inFlight();
    if (ended >= wanted && rows + waiting + unacked + unconfirmed === 0) break;
    const now = `${rows} rows, ${ended} of ${wanted} ended`;
    if (now !== last) {
      last = now;
      movedAt = performance.now();
    } else if (performance.now() - movedAt > stuckMs) {
      say(`nothing moves: ${now}, ${waiting} ready, ${unacked} unacked, ${unconfirmed} unconfirmed`);
      break;
    }
    await pause(500);
  }
  const drainMs = Math.round(performance.now() - began);
  await world.oracle.recordDead(await world.drainDead(consumers).catch(() => []));
  const verdict = await world.oracle.verdict(consumers);
  say(`${verdict.produced} events; drained after ${drainMs} ms`);
  return { verdict, stuckRows: await world.outboxRows(), drainMs };
}

/** SIGTERM to all, or to those of one kind: each is to end with exit code 0. */
async function stopAll(world: World, watch: Watch, kind?: SlotKind): Promise<void> {
  const ended = async (slot: Slot) => {
    if (watch.violation !== undefined) return slot.kill9();
    const code = await slot.stop();
    if (code !== 0) world.unaskedExits.push(`${slot.name} ended with ${code ?? 'a kill'} after SIGTERM`);
  };
  await Promise.all(world.slots.filter((slot) => kind === undefined || slot.kind === kind).map(ended));
}

export function readPlan(file: string): PlannedFault[] {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines
    .map((line) => JSON.parse(line) as PlannedFault)
    .map(({ at, fault, slot, lastsMs, seed }) => ({ at, fault, slot, lastsMs, seed }))
    .toSorted((a, b) => a.at - b.at);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const seconds = (since: number): string => `${Math.round((performance.now() - since) / 1000)} s`;
