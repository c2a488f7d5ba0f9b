import type { TaskHandle } from '../../task/handle.ts';
import { MAX_TIMER_MS } from '../../util/sleep.ts';
import type { CommandContext } from '../context.ts';
import { printable } from '../printable.ts';
import { ProgressBar } from '../progress-bar.ts';
import { withTasks } from './task-service.ts';

export interface RunOptions {
  readonly args?: object;
  readonly arg?: Readonly<Record<string, unknown>>;
  readonly detach?: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly delay?: number;
  readonly id?: string;
  readonly key?: string;
}

const HINT_MS = 3_000;

/** Starts a task and waits for what it returns. @returns 1 when it did not succeed */
export function run(context: CommandContext, name: string, options: RunOptions): Promise<0 | 1> {
  const { args, arg, detach = false, delay, id, key } = options;
  return withTasks(
    context,
    async (tasks) => {
      const handle = await tasks.submit(
        name,
        { ...args, ...arg },
        {
          ...(delay === undefined ? {} : { delay: `${delay}ms` }),
          ...(id === undefined ? {} : { id }),
          ...(key === undefined ? {} : { idempotencyKey: key }),
        },
      );
      if (detach) {
        context.print({ id: handle.id }, handle.id);
        return 0;
      }
      const result = await watched(context, handle, options);
      const text = typeof result === 'string' ? printable(result) : JSON.stringify(result, undefined, 2);
      context.print({ id: handle.id, state: 'SUCCESS', result }, text);
      return 0;
    },
    async (settings) => {
      const { loadTasks } = await import('../tasks.ts');
      (await loadTasks(settings, { preferSources: false })).taskRegistry.get(name);
    },
  );
}

/** On a terminal its progress is drawn, and what to look at when nobody takes it. */
async function watched(
  context: CommandContext,
  handle: TaskHandle,
  { timeout, delay = 0 }: RunOptions,
): Promise<unknown> {
  const isShown = process.stderr.isTTY === true && !context.options.json;
  const ended = new AbortController();
  const bar = new ProgressBar(process.stderr);
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const hint = setTimeout(
    async () => {
      const state = await handle.state().catch(() => undefined);
      if (state !== 'PENDING') return;
      say('it waits still: does a worker run (svc-comm runworker), and a publisher (svc-comm runpublisher)?');
    },
    Math.min(HINT_MS + delay, MAX_TIMER_MS),
  );
  const onInterrupt = () => {
    bar.clear();
    say(`the task goes on; end it with: svc-comm task cancel ${handle.id}`);
    process.exit(1);
  };
  process.once('SIGINT', onInterrupt);
  if (isShown) void drawProgress(handle, bar, ended.signal).catch(() => undefined);
  try {
    return await handle.result(timeout === undefined ? {} : { timeout: `${timeout}ms` });
  } finally {
    ended.abort();
    clearTimeout(hint);
    process.off('SIGINT', onInterrupt);
    bar.clear();
  }
}

async function drawProgress(handle: TaskHandle, bar: ProgressBar, signal: AbortSignal): Promise<void> {
  for await (const event of handle.events({ signal })) {
    if (signal.aborted) return;
    if (event.kind === 'progress') bar.draw(event.fraction, printable(event.note ?? ''));
  }
}
