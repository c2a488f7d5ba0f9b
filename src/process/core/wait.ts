import { type Duration, durationMs } from '../../util/duration.ts';
import { sleep } from '../../util/sleep.ts';
import { coreTask, membersProblem } from './core-task.ts';

/** `[wait, { args: { for: 5s } }]`; a number is seconds. */
export const wait = coreTask(
  { description: 'Lets time pass.' },
  ([options]) => membersProblem(options, ['for']),
  async (options, { context }) => {
    const ms = durationMs(options.for as Duration, 'for', 's');
    await sleep(ms, context.signal);
    return { waitedMs: ms };
  },
);
