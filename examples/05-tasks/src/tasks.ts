import { setTimeout as sleep } from 'node:timers/promises';
import { arg, task } from 'svc-comm/task';

export const addition = task(
  {
    name: 'addition',
    description: 'Simple Awesome Addition',
    args: { x: arg.integer('A value of X'), y: arg.integer('A value of Y') },
    maxConcurrency: 1,
  },
  ({ x, y }) => x + y,
);

/** Heavy: it would hold up every other request of the process that it runs in, if it ran there. */
export const countPrimes = task(
  { name: 'count-primes', args: { upTo: arg.integer('the last number') }, maxConcurrency: 2, onFull: 'queue' },
  ({ upTo }, { progress }) => {
    let count = 0;
    for (let n = 2; n <= upTo; n++) {
      if (isPrime(n)) count += 1;
      if (n % Math.ceil(upTo / 4) === 0) progress(n / upTo, `at ${n}`);
    }
    return count;
  },
);

/** Heeds its signal, so that a cancel need not wait for the grace time. */
export const report = task(
  { name: 'report', args: { lines: arg.integer() }, timeout: '1m', env: ['REPORT_TOKEN'] },
  async ({ lines }, { signal, progress, logger }) => {
    for (let line = 1; line <= lines; line++) {
      await sleep(100, undefined, { signal });
      progress(line / lines, `line ${line}`);
    }
    logger.info({ lines }, 'written');
    return { lines, hasToken: process.env.REPORT_TOKEN !== undefined };
  },
);

export const fragile = task({ name: 'fragile', retry: { attempts: 3, delays: ['100ms'] } }, (_args, { attempt }) => {
  if (attempt < 3) throw new Error(`attempt ${attempt} failed`);
  return `attempt ${attempt} succeeded`;
});

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false;
  return true;
}
