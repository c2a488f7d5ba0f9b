import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { FAULT_KINDS, type FaultKind } from './fault-kinds.ts';
import { readRuns, type Verdict, VIOLATIONS } from './oracle.ts';
import { type PlannedFault, plan } from './plan.ts';
import { Random } from './random.ts';
import { machine, type Report, versions } from './report.ts';
import type { Slot } from './slot.ts';
import { linesWith, Trace } from './trace.ts';
import { World, type WorldOptions } from './world.ts';

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
  readonly producers?: number;
  readonly relays?: number;
  readonly say: (line: string) => void;
  /** Where the log of faults goes. */
  readonly logFile: string;
  readonly world?: WorldOptions;
}

export const TIERS = {
  pr: { events: 20_000, faults: 12, nodes: 1, rate: 400 },
  ci: { events: 100_000, faults: 40, nodes: 1, rate: 400 },
  record: { events: 1_000_000, faults: 200, nodes: 3, rate: 700 },
} as const satisfies Record<string, Pick<TierOptions, 'events' | 'faults' | 'nodes' | 'rate'>>;

/** Each is a queue of its own: `ordered` has a single active consumer, `pool` has competing ones. */
export const CONSUMERS = ['ordered', 'pool'] as const;
const QUEUES = CONSUMERS.flatMap((name) => [name, `${name}.retry.100`, `${name}.retry.300`]);
/** No fault at work and nothing gets done for so long: it will not get done. */
const STUCK_MS = 60_000;
/** Attempts are five; a fault may repeat each of them, and double the copy that waits. Above this a message spins. */
const MOST_RUNS = 30;

interface LoggedFault extends PlannedFault {
  readonly inFlight: { readonly unconfirmed: number; readonly unacked: number; readonly outboxRows: number };
  /** From the heal until the one that was hit, or anybody, got something done. */
  recoveredMs?: number | undefined;
  error?: string;
}

export const consumerSlot = (consumer: (typeof CONSUMERS)[number], number: number, env: NodeJS.ProcessEnv = {}) => ({
  name: `${consumer}-${number}`,
  kind: 'consumer' as const,
  settings: { queue: { name: consumer, singleActiveConsumer: consumer === 'ordered' } },
  env: { FAULTS_CONSUMER: consumer, FAULTS_ORDERED: consumer === 'ordered' ? '1' : '0', ...env },
});

/** One run: servers, processes, load, faults, and what the oracle says in the end. */
export async function runTier(options: TierOptions): Promise<Report> {
  const { say, seed } = options;
  const startedAt = new Date();
  const began = performance.now();
  const world = await World.create({ nodes: options.nodes, ...options.world });
  const trace = new Trace(join(world.folder, 'trace.log'));
  try {
    const producers = options.producers ?? 2;
    for (let i = 1; i <= producers; i++) {
      const env = { FAULTS_SEED: String(seed * 10 + i), FAULTS_RATE: String(options.rate / producers) };
      await world.addSlot({ name: `producer-${i}`, kind: 'producer', env });
    }
    for (let i = 1; i <= (options.relays ?? 2); i++) await world.addSlot({ name: `relay-${i}`, kind: 'relay' });
    for (const consumer of CONSUMERS) for (const i of [1, 2]) await world.addSlot(consumerSlot(consumer, i));
    const planned = options.replay ?? plan({ ...options, slots: world.slots });
    await world.startConsumers(world.slots.filter(({ kind }) => kind === 'consumer'));
    for (const slot of world.slots) if (slot.kind !== 'consumer') slot.start();
    say(
      `${options.name}: ${options.events} events, ${planned.length} faults, seed ${seed}, ready after ${seconds(began)}`,
    );

    for (const slot of world.slots) trace.watch(slot);
    const faults = await new Injector(world, options, trace).run(planned);
    say(`faults are over after ${seconds(began)}`);
    const { verdict, stuckRows, drainMs } = await settle(world, say);
    const usage = Object.fromEntries(world.slots.map((slot) => [slot.name, slot.usage()]));
    const connections = Math.max(
      ...world.slots.map((slot) => slot.amqp.reduce((sum, { wires }) => sum + wires.length, 0)),
    );
    await stopAll(world);
    const runs = readRuns(world.runsFile, verdict.effects);
    const unknownTags = world.brokerLog('unknown delivery tag').length;
    const overlapped = faults.filter(({ inFlight }) => inFlight.unconfirmed + inFlight.unacked > 0).length;
    const problems = [
      ...VIOLATIONS.filter((name) => verdict[name] !== 0).map((name) => `${verdict[name]} ${name}`),
      ...(stuckRows > 0 ? [`${stuckRows} rows stuck in the outbox`] : []),
      ...(runs.most > MOST_RUNS ? [`a message was handled ${runs.most} times`] : []),
      ...(unknownTags > 0 ? [`${unknownTags} acks with an unknown delivery tag`] : []),
      ...(connections > 2 ? [`a process has ${connections} connections to the broker`] : []),
      ...world.unaskedExits,
      ...faults.flatMap(({ fault, error }) => (error === undefined ? [] : [`the fault "${fault}" failed: ${error}`])),
    ];
    await trace.end();
    const evidence: string[] = [];
    for (const { what, eventIds } of await world.oracle.suspects(CONSUMERS)) {
      evidence.push(what, ...(await linesWith([trace.file, world.runsFile], eventIds)));
    }
    if (evidence.length > 0) evidence.push(...(await linesWith([trace.file], ['fault'])));
    return {
      tier: options.name,
      seed,
      startedAt: startedAt.toISOString(),
      seconds: Math.round((performance.now() - began) / 1000),
      versions: await versions(world),
      machine: machine(),
      outcome:
        overlapped === 0 ? 'not run: no fault met a message on its way' : problems.length === 0 ? 'passed' : 'failed',
      problems,
      evidence,
      verdict,
      stuckRows,
      runs,
      faults: faults.length,
      faultsWithMessagesInFlight: overlapped,
      slowestRecoveryMs: Math.max(0, ...faults.map(({ recoveredMs }) => recoveredMs ?? 0)),
      drainMs,
      usage,
    };
  } finally {
    await world.destroy();
  }
}

/** Brings the faults when their time has come, several at once where they do not harm the same thing. */
class Injector {
  readonly #world: World;
  readonly #options: TierOptions;
  readonly #busy = new Map<string, Promise<void>>();
  readonly #log: LoggedFault[] = [];
  readonly #trace: Trace;

  constructor(world: World, options: TierOptions, trace: Trace) {
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
      running.push(this.#bring(fault));
    }
    await Promise.all(running);
    await this.#reach(events, written);
    return this.#log;
  }

  async #reach(events: number, written: () => number): Promise<void> {
    let last = written();
    let lastAtMs = performance.now();
    while (written() < events) {
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
  say: (line: string) => void,
): Promise<{ verdict: Verdict; stuckRows: number; drainMs: number }> {
  const began = performance.now();
  for (const slot of world.slots.filter(({ kind }) => kind === 'producer')) {
    const code = await slot.stop();
    if (code !== 0)
      world.unaskedExits.push(
        `${slot.name} ended with ${code ?? 'a kill'} after SIGTERM: ${slot.role?.log.slice(-300)}`,
      );
  }
  const poison = await world.oracle.count("SELECT 1 FROM oracle.produced WHERE kind = 'poison'");
  let lastDone = -1;
  let movedAt = performance.now();
  for (;;) {
    const stuckRows = await world.outboxRows();
    const ended = (await world.oracle.effects()) + (await world.ready(CONSUMERS.map((name) => `${name}.dead`)));
    const wanted = CONSUMERS.length * (await world.oracle.produced());
    const waiting = await world.ready(QUEUES);
    const { unacked, unconfirmed } = world.inFlight();
    const isQuiet = stuckRows + waiting + unacked + unconfirmed === 0;
    if (isQuiet && ended >= wanted) break;
    if (ended - stuckRows !== lastDone) {
      lastDone = ended - stuckRows;
      movedAt = performance.now();
    } else if (performance.now() - movedAt > STUCK_MS) {
      say(`nothing moves: ${stuckRows} rows, ${waiting} ready, ${unacked} unacked, ${ended} of ${wanted}`);
      break;
    }
    await pause(500);
  }
  const drainMs = Math.round(performance.now() - began);
  await world.oracle.recordDead(await world.drainDead(CONSUMERS));
  const verdict = await world.oracle.verdict(CONSUMERS);
  say(`${verdict.produced} events, ${poison} of them poison; drained after ${drainMs} ms`);
  return { verdict, stuckRows: await world.outboxRows(), drainMs };
}

async function stopAll(world: World): Promise<void> {
  await Promise.all(
    world.slots.map(async (slot: Slot) => {
      const code = await slot.stop();
      if (code !== 0) world.unaskedExits.push(`${slot.name} ended with ${code ?? 'a kill'} after SIGTERM`);
    }),
  );
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
