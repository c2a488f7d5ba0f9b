import { type Duration, durationMs, parseDuration } from '../../util/duration.ts';
import { sleep } from '../../util/sleep.ts';
import { coreTask, membersProblem } from './core-task.ts';

/** `[wait, { args: { for: 5s } }]`; a number is seconds. */
export const wait = coreTask(
  { description: 'Lets time pass.' },
  ([options]) => {
    const problem = membersProblem(options, ['for']);
    if (problem !== undefined) return problem;
    const { for: time } = options as { for: unknown };
    const isExpression = typeof time === 'string' && time.startsWith('=');
    return isExpression || parseDuration(time, 's') !== undefined ? undefined : "for: a duration such as '5s'";
  },
  async (options, { context }) => {
    const ms = durationMs(options.for as Duration, 'for', 's');
    await sleep(ms, context.signal);
    return { waitedMs: ms };
  },
);
