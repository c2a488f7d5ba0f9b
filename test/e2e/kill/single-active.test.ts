import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backlog, CLEAN, deadLetters, print, verdict } from '../../support/kill/backlog.ts';
import { killTimes } from '../../support/kill/kill-times.ts';
import { World } from '../../support/kill/world.ts';

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
  test('when the active one of two consumers on a single-active-consumer queue is killed', async () => {
    const sac = { queue: { name: 'sac-queue', singleActiveConsumer: true } };
    const env = { LEDGER_CONSUMER: 'sac', WORK_MS: '10' };
    const drain = await world.boundConsumer();
    const relay = world.relay();
    const consumers = [await world.boundConsumer(env, sac)];
    consumers.push(await world.boundConsumer(env, sac));
    const producer = await world.producer();
    for (let kills = 1; kills <= killTimes(20); kills++) {
      const queue = await backlog(world, producer, { ready: 1000, unacked: 100 }, 'sac-queue');
      // The oldest subscription is the active one.
      await consumers.shift()?.kill9();
      print(`kill ${kills}: ${queue.ready} messages left, ${queue.unacked} unacked`);
      consumers.push(await world.boundConsumer(env, sac));
    }
    expect(await verdict(world, producer, [drain, relay, ...consumers], ['ledger', 'sac'])).toEqual(CLEAN);
    expect(await deadLetters(world)).toBe(0);
  });
});
