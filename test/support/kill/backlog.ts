import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import type { QueueCounts } from './queue-watch.ts';
import type { Role } from './role.ts';
import type { World } from './world.ts';

/** What the oracle has to say in the end. */
export const CLEAN = { lost: 0, ghosts: 0, duplicateEffects: 0, inversions: 0 };
export const print = (line: string): void => console.log(line);

/** Ends the feed, waits until everything has arrived, stops the roles cleanly, and reads the verdict. */
export async function verdict(
  world: World,
  producer: Role,
  roles: readonly Role[],
  consumers = ['ledger'],
): Promise<typeof CLEAN> {
  expect(await producer.stop()).toBe(0);
  await eventually(
    'every event has its effect',
    async () => {
      if (await world.oracle.isIncomplete(consumers)) return false;
      return (await world.oracle.verdict(consumers)).lost === 0;
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

export async function deadLetters(world: World): Promise<number> {
  const { ready, unacked } = await world.queue('ledger-queue.dead');
  return ready + unacked;
}

/** Feeds a queue until so much waits in it and is in flight. @returns what was seen just before the kill */
export async function backlog(
  world: World,
  producer: Role,
  least: QueueCounts,
  queue = 'ledger-queue',
): Promise<QueueCounts> {
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
