import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { CLEAN, deadLetters, print, verdict } from '../../support/kill/backlog.ts';
import { killTimes } from '../../support/kill/kill-times.ts';
import { World } from '../../support/kill/world.ts';
import { slowness } from '../../support/slowness.ts';

/**
 * Processes and servers are killed while events flow. A kill counts only when at least 1,000 rows or messages are left
 * and at least one is in flight; both are printed. The oracle reads its own tables, not ours. What is killed has a file,
 * and servers, of its own: the files wait for leases, restarts and queues at the same time.
 */
let world: World;
beforeAll(async () => {
  world = await World.create();
});
afterAll(() => world?.destroy());

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
  test('when one of two relays is killed', async () => {
    const consumer = await world.boundConsumer();
    const relays = [world.relay(), world.relay()];
    const producer = await world.producer();
    const passing = await observer();
    const takeovers: number[] = [];
    for (let kills = 0; kills < killTimes(20); ) {
      await eventually('the backlog is gone', async () => (await world.oracle.outboxRows()) < 100);
      await eventually('two relays have split the partitions', async () => (await owners()).size === 2);
      await producer.burst(1300);
      const victim = relays.shift();
      if (!victim) throw new Error('no relay left');
      const before = await owners();
      const seen = await eventually('they are at work', async () => {
        const rows = await world.oracle.outboxRows();
        return rows < 1290 ? rows : undefined;
      });
      victim.signal('SIGKILL');
      const killedAt = performance.now();
      // Of the victim's partitions nothing goes any more; the survivor's rows are on their way all the while.
      const left = await outboxRows();
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
      if (seen < 1000 || inFlight < 1) continue;
      kills += 1;
      const ms = performance.now() - killedAt;
      const factor = slowness();
      takeovers.push(ms / factor);
      print(
        `kill ${kills}: ${seen} rows left, ${inFlight} in flight, taken over in ${Math.round(ms)} ms (slowness ${factor.toFixed(1)})`,
      );
    }
    await passing.close();
    // Lease (2 s) + 2 s, for each of them.
    expect(Math.max(...takeovers)).toBeLessThan(4000);
    expect(await verdict(world, producer, [consumer, ...relays])).toEqual(CLEAN);
    expect(await deadLetters(world)).toBe(0);
  });
});
