import { v7 as uuidv7 } from 'uuid';
import { expect, it } from 'vitest';
import { Peers } from '../../src/task/peers.ts';

it('of workers that know of each other exactly one goes for a task, and each gets its share', () => {
  const names = Array.from({ length: 5 }, () => uuidv7());
  const workers = names.map((name) => new Peers(name));
  for (const worker of workers) for (const name of names) worker.seen(name);
  const shares = names.map(() => 0);
  for (let n = 0; n < 5_000; n++) {
    const task = uuidv7();
    const going = workers.map((worker, i) => (worker.isOurs(task) ? i : -1)).filter((i) => i >= 0);
    expect(going).toHaveLength(1);
    shares[going[0] as number] = (shares[going[0] as number] ?? 0) + 1;
  }
  for (const share of shares) expect(share).toBeGreaterThan(700);
});

it('a worker that knows of no other goes for every task', () => {
  expect(new Peers(uuidv7()).isOurs(uuidv7())).toBe(true);
});
