import { connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import type { Role } from '../../support/kill/role.ts';
import { World } from '../../support/kill/world.ts';
import { slowness } from '../../support/slowness.ts';

/**
 * Processes and servers are killed while events flow. A kill counts only when at least 1,000 rows or messages are left
 * and at least one is in flight; both are printed. The oracle reads its own tables, not ours.
 */
let world: World;
const CLEAN = { lost: 0, ghosts: 0, duplicateEffects: 0, inversions: 0 };
const print = (line: string): void => console.log(line);

beforeAll(async () => {
  world = await World.create();
});
afterAll(() => world?.destroy());

/** Ends the feed, waits until everything has arrived, stops the roles cleanly, and reads the verdict. */
async function verdict(producer: Role, roles: readonly Role[], consumers = ['ledger']): Promise<object> {
  expect(await producer.stop()).toBe(0);
  await eventually(
    'every event has its effect',
    async () => {
      const { lost } = await world.oracle.verdict(consumers);
      return lost === 0 && (await world.oracle.outboxRows()) === 0;
    },
    120_000,
  ).catch(() => undefined);
  const alive = roles.filter((role) => role.isAlive);
  expect(await Promise.all(alive.map((role) => role.stop()))).toEqual(alive.map(() => 0));
  const { produced, effects, ...rest } = await world.oracle.verdict(consumers);
  print(`produced ${produced}, effects ${effects}, ${JSON.stringify(rest)}`);
  expect(produced).toBeGreaterThan(1000);
  return rest;
}

async function deadLetters(): Promise<number> {
  const { ready, unacked } = await world.queue('ledger-queue.dead');
  return ready + unacked;
}

/** Message ids as a plain client sees them pass, in a queue of its own. */
async function observer() {
  const connection = await connect(world.rabbit.url);
  connection.on('error', () => undefined);
  const channel = await connection.createChannel();
  await channel.assertExchange('ledger', 'topic', { durable: true });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, 'ledger', '#');
  const seen = new Set<string>();
  await channel.consume(queue, (message) => message && seen.add(String(message.properties.messageId)), { noAck: true });
  return { seen, close: () => connection.close() };
}

/** Feeds a queue until so much waits in it and is in flight. @returns what was seen just before the kill */
async function backlog(producer: Role, least: { ready: number; unacked: number }, queue = 'ledger-queue') {
  let last = 'nothing was seen';
  const look = async () => {
    const seen = await world.queue(queue);
    const rows = await world.oracle.outboxRows();
    last = `${seen.ready} and ${seen.unacked}, ${rows} in the outbox`;
    if (seen.unacked >= least.unacked && seen.ready >= least.ready) return seen;
    if (seen.ready < least.ready && rows < 200) await producer.burst(least.ready * 1.5);
    return undefined;
  };
  const what = `${least.ready} wait in ${queue}, ${least.unacked} are unacked`;
  return eventually(what, look, 120_000).catch((error: unknown) => {
    throw new Error(`seen last: ${last}`, { cause: error });
  });
}

const outboxRows = () =>
  world.oracle.query<{ id: string; part: number }>('SELECT message_id AS id, part FROM svc_comm_outbox');

/** Relays that hold partitions now, the least time until one of theirs runs out, and which they are. */
async function owners() {
  const rows = await world.oracle.query<{ owner: string; until: number; parts: number[] }>(
    `SELECT owner, extract(epoch FROM min(until))::float8 AS until, array_agg(part::int) AS parts
       FROM svc_comm_relay_lease WHERE until > clock_timestamp() GROUP BY owner`,
  );
  return new Map(rows.map(({ owner, ...rest }) => [owner, rest]));
}

describe('nothing is lost, doubled, invented or reordered within a key', () => {
  afterEach(() => world.reset());

  test('when one of two relays is killed, 20 times', { timeout: 300_000 }, async () => {
    const consumer = await world.boundConsumer();
    const relays = [world.relay(), world.relay()];
    const producer = await world.producer();
    const passing = await observer();
    const takeovers: number[] = [];
    for (let kills = 0; kills < 20; ) {
      await eventually('the backlog is gone', async () => (await world.oracle.outboxRows()) < 100);
      await eventually('two relays have split the partitions', async () => (await owners()).size === 2);
      await producer.burst(1300);
      const victim = relays.shift();
      if (!victim) throw new Error('no relay left');
      await eventually('it is at work', async () => (await world.oracle.outboxRows()) < 1290, 20_000);
      victim.signal('SIGKILL');
      const killedAt = performance.now();
      const [before, left] = await Promise.all([owners(), outboxRows()]);
      await victim.exited;
      // The survivor is the one that renews its leases; the rows of the other's partitions are the victim's.
      const survivor = await eventually('the survivor renews', async () => {
        const now = await owners();
        // One whose lease had lapsed at the kill, on a machine that is slow at the moment, comes back as a new one.
        return [...now].find(([owner, { until }]) => until > (before.get(owner)?.until ?? 0))?.[0];
      });
      const survivors = new Set(before.get(survivor)?.parts);
      const victims = left.filter(({ part }) => !survivors.has(part)).map(({ id }) => id);
      const inFlight = victims.filter((id) => passing.seen.has(id)).length;
      relays.push(world.relay());
      await eventually('a survivor took over', async () => {
        const now = new Set((await outboxRows()).map(({ id }) => id));
        return victims.some((id) => !now.has(id));
      });
      if (left.length < 1000 || inFlight < 1) continue;
      kills += 1;
      const ms = performance.now() - killedAt;
      const factor = slowness();
      takeovers.push(ms / factor);
      print(
        `kill ${kills}: ${left.length} rows left, ${inFlight} in flight, taken over in ${Math.round(ms)} ms (slowness ${factor.toFixed(1)})`,
      );
    }
    await passing.close();
    // Lease (2 s) + 2 s, for each of them.
    expect(Math.max(...takeovers)).toBeLessThan(4000);
    expect(await verdict(producer, [consumer, ...relays])).toEqual(CLEAN);
    expect(await deadLetters()).toBe(0);
  });

  test('when the consumer is killed with 100 unacked, 20 times, and none of them is dead-lettered', {
    timeout: 300_000,
  }, async () => {
    let consumer = await world.boundConsumer({ WORK_MS: '10' });
    const relay = world.relay();
    const producer = await world.producer();
    for (let kills = 0; kills < 20; ) {
      const queue = await backlog(producer, { ready: 1000, unacked: 100 });
      await consumer.kill9();
      kills += 1;
      print(`kill ${kills}: ${queue.ready} messages left, ${queue.unacked} unacked`);
      consumer = await world.boundConsumer({ WORK_MS: kills < 20 ? '10' : '0' });
    }
    expect(await verdict(producer, [consumer, relay])).toEqual(CLEAN);
    expect(await deadLetters()).toBe(0);
  });

  test('when every connection is closed by the operator, 10 times', { timeout: 300_000 }, async () => {
    const roles = [await world.boundConsumer({ WORK_MS: '2' }), world.relay()];
    const producer = await world.producer();
    for (let cuts = 1; cuts <= 10; cuts++) {
      const queue = await backlog(producer, { ready: 1000, unacked: 1 });
      await world.rabbit.closeAllConnections();
      print(`cut ${cuts}: ${queue.ready} messages left, ${queue.unacked} unacked`);
    }
    expect(await verdict(producer, roles)).toEqual(CLEAN);
    expect(await deadLetters()).toBe(0);
  });

  test('when PostgreSQL is restarted at once, 3 times', { timeout: 300_000 }, async () => {
    const roles = [await world.boundConsumer({ WORK_MS: '2' }), world.relay()];
    const producer = await world.producer();
    for (let restarts = 1; restarts <= 3; restarts++) {
      const queue = await backlog(producer, { ready: 1000, unacked: 1 });
      await world.postgres.immediateRestart();
      print(`restart ${restarts}: ${queue.ready} messages left, ${queue.unacked} unacked`);
    }
    expect(await verdict(producer, roles)).toEqual(CLEAN);
    expect(await deadLetters()).toBe(0);
  });

  test('when the active one of two consumers on a single-active-consumer queue is killed, 20 times', {
    timeout: 300_000,
  }, async () => {
    const sac = { queue: { name: 'sac-queue', singleActiveConsumer: true } };
    const env = { LEDGER_CONSUMER: 'sac', WORK_MS: '10' };
    const drain = await world.boundConsumer();
    const relay = world.relay();
    const consumers = [await world.boundConsumer(env, sac)];
    consumers.push(await world.boundConsumer(env, sac));
    const producer = await world.producer();
    for (let kills = 1; kills <= 20; kills++) {
      const queue = await backlog(producer, { ready: 1000, unacked: 100 }, 'sac-queue');
      // The oldest subscription is the active one.
      await consumers.shift()?.kill9();
      print(`kill ${kills}: ${queue.ready} messages left, ${queue.unacked} unacked`);
      consumers.push(await world.boundConsumer(env, sac));
    }
    expect(await verdict(producer, [drain, relay, ...consumers], ['ledger', 'sac'])).toEqual(CLEAN);
    expect(await deadLetters()).toBe(0);
  });

  test('when the broker is killed with 5,000 messages waiting in a retry queue', { timeout: 300_000 }, async () => {
    const changes = { retry: { attempts: 5, delays: ['30s'] } };
    const roles = [await world.boundConsumer({ FAIL_ONE_IN: '1' }, changes), world.relay()];
    const producer = await world.producer({ NO_KEY: '1' });
    await producer.burst(5600);
    const retry = 'ledger-queue.retry.30000';
    const waiting = await eventually(
      '5,000 wait',
      async () => {
        const { ready } = await world.queue(retry);
        return ready >= 5000 ? ready : undefined;
      },
      120_000,
    );
    const { unacked } = await world.queue();
    await world.rabbit.flushDeclarations();
    await world.rabbit.kill9();
    print(`broker killed: ${waiting} wait in ${retry}, ${unacked} unacked`);
    await world.rabbit.restart();
    const { inversions: _, ...rest } = (await verdict(producer, roles)) as typeof CLEAN;
    // Messages without a key have no order to keep.
    expect(rest).toEqual({ lost: 0, ghosts: 0, duplicateEffects: 0 });
    expect(await deadLetters()).toBe(0);
  });

  test('when the queue is deleted under the consumer: it consumes again within 5 s', { timeout: 300_000 }, async () => {
    const roles = [await world.boundConsumer(), world.relay({ outbox: { unroutable: 'keep' } })];
    const producer = await world.producer();
    await producer.burst(1000);
    await eventually('the queue is empty', async () => {
      const { ready, unacked } = await world.queue();
      return ready + unacked === 0 && (await world.oracle.outboxRows()) === 0;
    });
    const before = await world.oracle.count('SELECT 1 FROM oracle.effect');
    await world.rabbit.ctl('-q', 'delete_queue', 'ledger-queue');
    const deletedAt = performance.now();
    const effects = await eventually('an effect after the deletion', async () => {
      const now = await world.oracle.count('SELECT 1 FROM oracle.effect');
      const back = (await world.queue().catch(() => ({ ready: -1 }))).ready >= 0;
      return back && now > before + 50 ? now : undefined;
    });
    const ms = performance.now() - deletedAt;
    print(`consuming again after ${Math.round(ms)} ms (${effects - before} effects since)`);
    expect(ms).toBeLessThan(5000);
    expect(await deadLetters()).toBe(0);
    await producer.stop();
    await Promise.all(roles.map((role) => role.stop()));
  });
});
