import { v7 as uuidv7 } from 'uuid';
import { describe, expect, it } from 'vitest';
import { Peers } from '../../src/task/peers.ts';

/** How many of 5,000 tasks each of five workers goes for. @param full the places of those that are full */
function shares(full: readonly number[]): number[] {
  const names = Array.from({ length: 5 }, () => uuidv7());
  const workers = names.map((name) => new Peers(name));
  for (const worker of workers)
    for (const [i, name] of names.entries()) worker.heard(name, full.includes(i) ? 'full' : 'here');
  const counts = names.map(() => 0);
  for (let n = 0; n < 5_000; n++) {
    const task = uuidv7();
    const going = workers.map((worker, i) => (worker.isOurs(task) ? i : -1)).filter((i) => i >= 0);
    expect(going).toHaveLength(1);
    counts[going[0] as number] = (counts[going[0] as number] ?? 0) + 1;
  }
  return counts;
}

describe('of workers that know of each other exactly one goes for a task', () => {
  it('and each gets its share', () => {
    for (const share of shares([])) expect(share).toBeGreaterThan(700);
  });

  it('one that has room, when any has', () => {
    const counts = shares([0, 3]);
    expect([counts[0], counts[3]]).toEqual([0, 0]);
    for (const free of [1, 2, 4]) expect(counts[free]).toBeGreaterThan(1_200);
  });

  it('also when all are full: it begins it when it has room', () => {
    for (const share of shares([0, 1, 2, 3, 4])) expect(share).toBeGreaterThan(700);
  });
});

it('a worker that knows of no other goes for every task', () => {
  expect(new Peers(uuidv7()).isOurs(uuidv7())).toBe(true);
});

it('who is no worker knows whether any listens', () => {
  const peers = new Peers();
  expect(peers.hasAny).toBe(false);
  peers.heard(uuidv7(), 'echo');
  expect(peers.hasAny).toBe(false);
  peers.heard(uuidv7(), 'full');
  expect(peers.hasAny).toBe(true);
});
