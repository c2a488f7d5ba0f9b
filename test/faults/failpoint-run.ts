import { readFileSync } from 'node:fs';
import { deferred } from '../../src/util/deferred.ts';
import { eventually } from '../support/eventually.ts';
import { type Caught, FAILPOINTS, type Failpoint, type Fate } from './failpoints.ts';
import { heldLease } from './held-lease.ts';
import type { Action } from './proxy/frame-proxy.ts';
import { machine, versions } from './report.ts';
import type { Slot } from './slot.ts';
import { consumerSlot } from './tier.ts';
import { type Deliveries, Witness } from './witness.ts';
import { PATIENCE, World } from './world.ts';

export interface FailpointResult {
  readonly name: string;
  readonly at: string;
  readonly expects: string;
  readonly kills: number;
  readonly messages: number;
  readonly asExpected: number;
  readonly problems: readonly string[];
}

export interface FailpointReport {
  readonly seed: number;
  readonly times: number;
  readonly seconds: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: string;
  readonly kills: number;
  readonly lost: number;
  readonly stuck: number;
  readonly results: readonly FailpointResult[];
  readonly problems: readonly string[];
}

export interface FailpointOptions {
  readonly times: number;
  readonly seed: number;
  readonly names?: readonly string[];
  readonly say: (line: string) => void;
}

const LEASE_MS = 2000;
const ARRIVAL_MS = 200;
const NEVER = '1000000000';
/** A process starts and comes to its step in this time. */
const CATCH_MS = 60_000;
/** Leases are 2 s here, and nothing waits for a retry. */
const STUCK_MS = 20_000;

/** Kills processes at the frames that mark their steps, and asks in the end what became of each message that was caught. */
export async function runFailpoints({ times, seed, names, say }: FailpointOptions): Promise<FailpointReport> {
  const began = performance.now();
  const wanted = (name: string) => names === undefined || names.includes(name);
  const world = await World.create({
    settings: { relay: { lease: `${LEASE_MS}ms` }, retry: { attempts: 1, delays: [] } },
  });
  try {
    const run = new FailpointRun(world, times, say);
    await run.start(seed);
    for (const failpoint of FAILPOINTS.filter(({ name, victim }) => victim === 'relay' && wanted(name)))
      await run.killAt(world.slot('relay-victim'), failpoint);
    const held = wanted('R5') ? await heldLease({ world, witness: run.witness, times, leaseMs: LEASE_MS }) : undefined;
    if (held) say(`R5: ${held.asExpected} of ${held.messages} as expected`);
    // From here on no relay dies, so that what is delivered twice was delivered twice by the consumer's doing.
    const [producer, consumer] = [world.slot('producer-victim'), world.slot('pool-1')];
    producer.start();
    const each = async (slot: Slot) => {
      for (const failpoint of FAILPOINTS.filter(({ name, victim }) => victim === slot.kind && wanted(name)))
        await run.killAt(slot, failpoint);
    };
    await Promise.all([each(producer), each(consumer)]);
    const { results, lost, stuck } = await run.judge();
    if (held) results.push(held);
    const problems = [...results.flatMap((result) => result.problems), ...world.unaskedExits];
    if (lost > 0) problems.push(`${lost} lost`);
    if (stuck > 0) problems.push(`${stuck} rows stuck`);
    const kills = results.reduce((sum, result) => sum + result.kills, 0);
    const seconds = Math.round((performance.now() - began) / 1000);
    return {
      seed,
      times,
      seconds,
      versions: await versions(world),
      machine: machine(),
      kills,
      lost,
      stuck,
      results,
      problems,
    };
  } finally {
    await world.destroy();
  }
}

class FailpointRun {
  readonly #world: World;
  readonly #times: number;
  readonly #say: (line: string) => void;
  readonly witness = new Witness();
  /** Of each failpoint, the messages of each kill. */
  readonly #kills = new Map<Failpoint, (readonly string[])[]>();
  readonly #caught = new Set<string>();
  readonly #unsettledAtKills = new Map<string, number>();
  readonly #deliveriesAtKills = new Map<string, Deliveries>();

  constructor(world: World, times: number, say: (line: string) => void) {
    this.#world = world;
    this.#times = times;
    this.#say = say;
  }

  async start(seed: number): Promise<void> {
    const world = this.#world;
    const mixed = { FAULTS_UNKEYED_ONE_IN: '2', FAULTS_POISON_ONE_IN: '4', FAULTS_FAILS_ONE_IN: NEVER };
    const plain = { FAULTS_POISON_ONE_IN: NEVER, FAULTS_FAILS_ONE_IN: NEVER };
    // One consumer that takes one at a time has to keep up, killed and started all the while.
    const load = { FAULTS_WRITERS: '1', FAULTS_RATE: '20', FAULTS_SEED: String(seed), FAULTS_LONG_MS: '100' };
    await world.addSlot({ name: 'producer-steady', kind: 'producer', env: { ...load, ...mixed } });
    await world.addSlot({ name: 'producer-victim', kind: 'producer', env: { ...load, ...plain } });
    await world.addSlot({ name: 'relay-survivor', kind: 'relay' });
    await world.addSlot({ name: 'relay-victim', kind: 'relay' });
    // One at a time, so that a kill catches one message and no other's run is cut short.
    const options = consumerSlot('pool', 1);
    await world.addSlot({ ...options, settings: { ...options.settings, prefetch: 1, concurrency: 1 } });
    for (const slot of world.slots) this.witness.watch(slot);
    await world.startConsumers([world.slot('pool-1')]);
    for (const name of ['relay-survivor', 'relay-victim', 'producer-steady']) world.slot(name).start();
    await eventually('an effect', async () => (await world.oracle.effects()) > 0);
  }

  /** The slot's process, and those that come after it, each killed once at the failpoint. */
  async killAt(slot: Slot, failpoint: Failpoint): Promise<void> {
    const kills: (readonly string[])[] = [];
    this.#kills.set(failpoint, kills);
    for (let i = 0; i < this.#times; i++) {
      kills.push(await this.#killOnce(slot, failpoint));
      slot.start();
    }
    this.#say(`${failpoint.name}: ${kills.length} kills at ${failpoint.at}`);
  }

  async #killOnce(slot: Slot, failpoint: Failpoint): Promise<readonly string[]> {
    const { promise, resolve } = deferred<readonly string[]>();
    let sprung: Action | undefined;
    const spring = (caught: Caught | undefined) => {
      // Held in one direction of one connection, it goes on with the others until it is killed.
      if (sprung) return sprung === 'hold' ? 'pass' : 'hold-both';
      if (!caught || !this.#isNew(caught.ids, failpoint)) return 'pass';
      sprung = caught.action;
      const kill = () => void slot.kill9().then(() => resolve(caught.ids));
      // What was passed on has to arrive: a server may forget what it has not looked at when the connection ends. And what
      // the process does too early it has time to do while one direction is held.
      if (caught.action === 'hold-both') kill();
      else setTimeout(kill, ARRIVAL_MS);
      return caught.action;
    };
    const { onPg, onAmqp } = failpoint;
    if (onPg) slot.pg.rule = (frame, direction, wire) => spring(onPg(frame, direction, wire, this.witness));
    for (const proxy of slot.amqp) {
      if (onAmqp) proxy.rule = (frame, direction, wire) => spring(onAmqp(frame, direction, wire, this.witness));
    }
    const timer = setTimeout(() => resolve([]), CATCH_MS * PATIENCE);
    const ids = await promise;
    clearTimeout(timer);
    await slot.kill9();
    // What was held dies with the process that sent it: passed on now, a COMMIT would still take place.
    for (const proxy of [slot.pg, ...slot.amqp]) proxy.cut();
    if (slot.kind === 'relay') await this.#noteUnsettled(slot);
    for (const proxy of [slot.pg, ...slot.amqp]) proxy.heal();
    for (const id of ids) {
      this.#caught.add(id);
      this.#deliveriesAtKills.set(id, this.witness.deliveries(id));
    }
    if (ids.length === 0)
      throw new Error(`${failpoint.name}: ${slot.name} never came to ${failpoint.at}:\n${slot.role?.log.slice(-2000)}`);
    return ids;
  }

  /** Each message is caught once: what becomes of it is then this failpoint's doing. */
  #isNew(ids: readonly string[], failpoint: Failpoint): boolean {
    if (ids.some((id) => this.#caught.has(id))) return false;
    if (failpoint.victim !== 'consumer') return true;
    // Of two copies the second is not run, and its COMMIT is not the handler's.
    return ids.every(
      (id) => this.witness.isPoison(id) === (failpoint.isPoison ?? false) && this.witness.publishes(id) === 1,
    );
  }

  async #noteUnsettled(slot: Slot): Promise<void> {
    const rows = await this.#world.oracle.query<{ message_id: string }>('SELECT message_id FROM svc_comm_outbox');
    const published = this.witness.publishedBy(slot);
    for (const { message_id } of rows) {
      if (published.has(message_id))
        this.#unsettledAtKills.set(message_id, (this.#unsettledAtKills.get(message_id) ?? 0) + 1);
    }
  }

  async judge(): Promise<{ results: FailpointResult[]; lost: number; stuck: number }> {
    const world = this.#world;
    for (const name of ['producer-steady', 'producer-victim']) await world.slot(name).stop();
    const wanted = await world.oracle.produced();
    const isQuiet = async () => {
      const ended = (await world.oracle.effects()) + (await world.ready(['pool.dead']));
      const { unacked, unconfirmed } = world.inFlight();
      const waiting = (await world.outboxRows()) + (await world.ready(['pool']));
      return ended >= wanted && unacked + unconfirmed + waiting === 0;
    };
    if (!(await this.#settles(isQuiet))) this.#say('not everything has arrived');
    const dead = await world.drainDead(['pool']);
    await world.oracle.recordDead(dead);
    const fates = await this.#fates(dead.map(({ messageId }) => messageId));
    const poison = new Set(await this.#ids("SELECT event_id id FROM oracle.produced WHERE kind = 'poison'"));
    const results = [...this.#kills].map(([failpoint, kills]): FailpointResult => {
      const ids = kills.flat().filter((id) => failpoint.isPoison || !poison.has(id));
      const odd = ids.filter((id) => !failpoint.isAsExpected(fates(id)));
      const problems = odd
        .slice(0, 3)
        .map((id) => `${failpoint.name} (${failpoint.expects}): ${id} has ${JSON.stringify(fates(id))}`);
      const { name, at, expects } = failpoint;
      return {
        name,
        at,
        expects,
        kills: kills.length,
        messages: ids.length,
        asExpected: ids.length - odd.length,
        problems,
      };
    });
    const { lost, duplicateEffects, ghosts } = await world.oracle.verdict(['pool']);
    return { results, lost: lost + duplicateEffects + ghosts, stuck: await world.outboxRows() };
  }

  /** @returns false: for `STUCK_MS`, more on a busy machine, nothing has come of it */
  async #settles(isQuiet: () => Promise<boolean>): Promise<boolean> {
    const done = async () => (await this.#world.oracle.effects()) + (await this.#world.ready(['pool.dead']));
    for (let before = -1; ; ) {
      const now = await done();
      if (now === before) return false;
      before = now;
      const isOver = await eventually('everything has arrived', isQuiet, STUCK_MS * PATIENCE).then(
        () => true,
        () => false,
      );
      if (isOver) return true;
    }
  }

  async #fates(dead: readonly string[]): Promise<(id: string) => Fate> {
    const outbox = new Set(await this.#ids('SELECT message_id id FROM svc_comm_outbox'));
    const produced = new Set(await this.#ids('SELECT event_id id FROM oracle.produced'));
    const effects = tally(await this.#ids('SELECT event_id id FROM oracle.effect'));
    const runs = tally(
      readFileSync(this.#world.runsFile, 'utf8')
        .split('\n')
        .map((line) => line.split(' ')[1] ?? ''),
    );
    const deadCopies = tally(dead);
    return (id) => ({
      isInOutbox: outbox.has(id),
      isCommitted: produced.has(id),
      publishes: this.witness.publishes(id),
      unsettledAtKills: this.#unsettledAtKills.get(id) ?? 0,
      deliveries: since(this.#deliveriesAtKills.get(id), this.witness.deliveries(id)),
      handlerRuns: runs.get(id) ?? 0,
      effects: effects.get(id) ?? 0,
      deadCopies: deadCopies.get(id) ?? 0,
    });
  }

  async #ids(sql: string): Promise<string[]> {
    return (await this.#world.oracle.query<{ id: string }>(sql)).map(({ id }) => id);
  }
}

const since = (before: Deliveries = { fresh: 0, again: 0 }, now: Deliveries): Deliveries => ({
  fresh: now.fresh - before.fresh,
  again: now.again - before.again,
});

function tally(items: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}
