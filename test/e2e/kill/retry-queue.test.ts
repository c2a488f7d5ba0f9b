import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { deadLetters, print, verdict } from '../../support/kill/backlog.ts';
import { World } from '../../support/kill/world.ts';
import { slowness } from '../../support/slowness.ts';

/** Many messages at rest when the broker dies; the oracle reads its own tables, not ours. */
let world: World;
beforeAll(async () => {
  world = await World.create();
});
afterAll(() => world?.destroy());

describe('nothing is lost, doubled or invented', () => {
  test('when the broker is killed with 5,000 messages waiting in a retry queue', async () => {
    // Long enough to bring that many there before the first ones leave.
    const delayMs = 30_000 * Math.ceil(Math.min(5, slowness()));
    const changes = { retry: { attempts: 5, delays: [`${delayMs / 1000}s`] } };
    const env = { FAIL_ONE_IN: '1' };
    const bound = await world.boundConsumer(env, changes);
    const relay = world.relay();
    const producer = await world.producer({ NO_KEY: '1' });
    expect(await bound.stop()).toBe(0);
    await producer.burst(5600);
    // All of them lie there when the consumer begins: the time until the last one has failed is its own alone.
    await eventually('the queue has them', async () => (await world.queue()).ready >= 5600, 120_000);
    const roles = [relay, world.consumer(env, changes)];
    const began = performance.now();
    const retry = `ledger-queue.retry.${delayMs}`;
    const waiting = await eventually(
      '5,000 wait',
      async () => {
        const { ready } = await world.queue(retry);
        return ready >= 5000 ? ready : undefined;
      },
      120_000,
    );
    print(`filled in ${Math.round(performance.now() - began)} of ${delayMs} ms`);
    const { unacked } = await world.queue();
    await world.rabbit.flushDeclarations();
    await world.rabbit.kill9();
    print(`broker killed: ${waiting} wait in ${retry}, ${unacked} unacked`);
    await world.rabbit.restart();
    const { inversions: _, ...rest } = await verdict(world, producer, roles);
    // Messages without a key have no order to keep.
    expect(rest).toEqual({ lost: 0, ghosts: 0, duplicateEffects: 0 });
    expect(await deadLetters(world)).toBe(0);
  });
});
