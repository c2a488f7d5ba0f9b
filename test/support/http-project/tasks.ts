import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { arg, task } from '../../../src/task-door.ts';

export const addition = task(
  {
    name: 'addition',
    description: 'Simple Awesome Addition',
    args: { x: arg.integer('A value of X'), y: arg.integer('A value of Y') },
    maxConcurrency: 1,
  },
  ({ x, y }) => x + y,
);

export const multi = task(
  { name: 'multi', description: 'Heavy Function', maxConcurrency: 2 },
  async (_args, { signal }) => {
    await sleep(60_000, undefined, { signal });
    return true;
  },
);

export const double = task({ name: 'double', args: { number: arg.integer() } }, ({ number }) => number * 2);

export const give = task({ name: 'give', args: { json: arg.string() } }, ({ json }) => JSON.parse(json) as unknown);

export const fails = task({ name: 'fails' }, () => {
  throw new TypeError('no such thing');
});

export const brief = task({ name: 'brief', timeout: '300ms' }, () => sleep(60_000));

/**
 * Runs until it is told to end; then it takes its time, or ends only when it is killed.
 * @param until its time begins when the test has made this file
 */
export const nap = task(
  {
    name: 'nap',
    args: {
      ms: arg.integer(),
      stubborn: arg.boolean('', { default: false }),
      until: arg.string('', { default: '' }),
    },
  },
  async ({ ms, stubborn, until }, { signal, progress }) => {
    if (stubborn) process.on('SIGTERM', () => undefined);
    progress(0.5, 'half of it');
    const options = stubborn ? {} : { signal };
    while (until && !existsSync(until)) await sleep(10, undefined, options);
    await sleep(ms, undefined, options);
    return ms;
  },
);

/** Takes the whole of a core. */
export const spin = task({ name: 'spin', args: { ms: arg.integer() } }, ({ ms }) => {
  const end = performance.now() + ms;
  while (performance.now() < end);
  return ms;
});

export const narrow = task({ name: 'narrow', maxConcurrency: 3, args: { ms: arg.integer() } }, async ({ ms }) => {
  await sleep(ms);
});

export const patient = task(
  { name: 'patient', maxConcurrency: 2, onFull: 'queue', args: { ms: arg.integer() } },
  async ({ ms }, { signal }) => {
    await sleep(ms, undefined, { signal });
  },
);

export const strict = task({ name: 'strict', args: z.object({ at: z.iso.date() }) }, ({ at }) => at);
