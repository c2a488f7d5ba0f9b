import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { backlog, CLEAN, deadLetters, print, verdict } from '../../support/kill/backlog.ts';
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

describe('nothing is lost, doubled, invented or reordered within a key', () => {
  afterEach(() => world.reset());

  test('when every connection is closed by the operator', async () => {
    const roles = [await world.boundConsumer({ WORK_MS: '2' }), world.relay()];
    const producer = await world.producer();
    for (let cuts = 1; cuts <= killTimes(10); cuts++) {
      const queue = await backlog(world, producer, { ready: 1000, unacked: 1 });
      await world.rabbit.closeAllConnections();
      print(`cut ${cuts}: ${queue.ready} messages left, ${queue.unacked} unacked`);
    }
    expect(await verdict(world, producer, roles)).toEqual(CLEAN);
    expect(await deadLetters(world)).toBe(0);
  });

  test('when PostgreSQL is restarted at once', async () => {
    const roles = [await world.boundConsumer({ WORK_MS: '2' }), world.relay()];
    const producer = await world.producer();
    for (let restarts = 1; restarts <= killTimes(3); restarts++) {
      const queue = await backlog(world, producer, { ready: 1000, unacked: 1 });
      await world.postgres.immediateRestart();
      print(`restart ${restarts}: ${queue.ready} messages left, ${queue.unacked} unacked`);
    }
    expect(await verdict(world, producer, roles)).toEqual(CLEAN);
    expect(await deadLetters(world)).toBe(0);
  });

  test('when the queue is deleted under the consumer: it consumes again within 5 s', async () => {
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
    const factor = slowness();
    print(
      `consuming again after ${Math.round(ms)} ms (slowness ${factor.toFixed(1)}), ${effects - before} effects since`,
    );
    expect(ms / factor).toBeLessThan(5000);
    expect(await deadLetters(world)).toBe(0);
    await producer.stop();
    await Promise.all(roles.map((role) => role.stop()));
  });
});
