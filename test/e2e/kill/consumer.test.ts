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
  test('when the consumer is killed with 100 unacked, and none of them is dead-lettered', async () => {
    let consumer = await world.boundConsumer({ WORK_MS: '10' });
    const relay = world.relay();
    const producer = await world.producer();
    const times = killTimes(20);
    for (let kills = 0; kills < times; ) {
      const queue = await backlog(world, producer, { ready: 1000, unacked: 100 });
      await consumer.kill9();
      kills += 1;
      print(`kill ${kills}: ${queue.ready} messages left, ${queue.unacked} unacked`);
      consumer = await world.boundConsumer({ WORK_MS: kills < times ? '10' : '0' });
    }
    expect(await verdict(world, producer, [consumer, relay])).toEqual(CLEAN);
    expect(await deadLetters(world)).toBe(0);
  });
});
