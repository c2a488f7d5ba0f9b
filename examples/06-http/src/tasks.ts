import { setTimeout as sleep } from 'node:timers/promises';
import { arg, task, taskRegistry } from 'svc-comm/task';

export const addition = task(
  {
    name: 'addition',
    description: 'Simple Awesome Addition',
    args: { x: arg.integer('A value of X'), y: arg.integer('A value of Y') },
  },
  ({ x, y }) => x + y,
);

export const double = task({ name: 'double', args: { number: arg.integer() } }, ({ number }) => number * 2);

/** Tells how far it is, and ends when it is told to. */
export const report = task({ name: 'report', args: { lines: arg.integer() } }, async ({ lines }, context) => {
  for (let line = 1; line <= lines; line += 1) {
    await sleep(200, undefined, { signal: context.signal });
    context.progress(line / lines, `line ${line}`);
  }
  return Array.from({ length: lines }, (_, line) => ({ line: line + 1 }));
});

taskRegistry.add(addition, double, report);
