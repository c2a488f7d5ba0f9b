import { getEventListeners } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DatabaseLink } from '../../src/database/link.ts';
import { TaskAccess } from '../../src/http/task-access.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { runStep } from '../../src/process/run-step.ts';
import type { Tasks } from '../../src/task/tasks.ts';
import { waitForEnd } from '../../src/task/wait.ts';
import { linkedSignal } from '../../src/util/linked-signal.ts';

const TIMES = 200;

/** What a signal holds for others: its listeners, and the entries that `AbortSignal.any` makes at each source. */
function held(signal: AbortSignal): number {
  const own = signal as unknown as Readonly<Record<symbol, { readonly size: number } | undefined>>;
  const entries = Object.getOwnPropertySymbols(signal)
    .filter(({ description }) => description === 'kDependantSignals')
    .map((key) => own[key]?.size ?? 0);
  return [getEventListeners(signal, 'abort').length, ...entries].reduce((sum, count) => sum + count);
}

describe('one signal of several', () => {
  it('aborts with the first of them, for its reason', () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const { signal } = linkedSignal(one.signal, other.signal);
    expect(signal.aborted).toBe(false);
    other.abort('second');
    one.abort('first');
    expect([signal.aborted, signal.reason]).toEqual([true, 'second']);
  });

  it('is aborted from the start when one of them is, and is held by none of the others', () => {
    const one = new AbortController();
    const { signal, unlink } = linkedSignal(one.signal, AbortSignal.abort('before'));
    expect([signal.aborted, signal.reason, held(one.signal)]).toEqual([true, 'before', 0]);
    expect(unlink).not.toThrow();
  });

  it('leaves nothing at them when it is taken off, and does not abort any more', () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const { signal, unlink } = linkedSignal(one.signal, other.signal);
    expect([held(one.signal), held(other.signal)]).toEqual([1, 1]);
    unlink();
    expect([held(one.signal), held(other.signal)]).toEqual([0, 0]);
    one.abort();
    expect(signal.aborted).toBe(false);
  });
});

describe('a signal that lives as long as its server or role holds nothing of what has ended', () => {
  it('by a count that sees what AbortSignal.any leaves', () => {
    const { signal } = new AbortController();
    const joined = AbortSignal.any([signal]);
    joined.addEventListener('abort', () => undefined);
    expect(held(signal)).toBe(1);
    expect(joined.aborted).toBe(false);
  });

  it('after requests that waited for a task', async () => {
    const tasks: Pick<Tasks, 'waitForEnd'> = {
      waitForEnd: (id, { signal } = {}) =>
        waitForEnd(id, {
          watch: { watch: () => () => undefined } as never,
          read: async () => ({ id, state: 'SUCCESS' }) as never,
          timeoutMs: undefined,
          signal,
        }),
    };
    const access = new TaskAccess({ addHook: () => undefined } as never, { tasks: tasks as Tasks });
    const waits = Array.from({ length: TIMES }, () => access.ended('a', { until: new AbortController().signal }));
    expect(new Set(await Promise.all(waits))).toEqual(new Set(['SUCCESS']));
    expect(held(access.closing)).toBe(0);
  });

  it('after steps of processes', async () => {
    const { signal } = new AbortController();
    const step = { env: [], run: async ({ context }: { context: { signal: AbortSignal } }) => context.signal.aborted };
    for (let n = 0; n < TIMES; n++) {
      const context = { logger: silentLogger, results: {} };
      const end = await runStep({ step, args: [] } as never, { snapshot: {} as never, context, until: signal });
      expect(end).toMatchObject({ kind: 'done', value: false });
    }
    expect(held(signal)).toBe(0);
  });

  it('after connections to the database that were made anew', async () => {
    const { signal } = new AbortController();
    const link = new DatabaseLink({
      name: 'test',
      logger: silentLogger,
      connect: async () => {
        const lost = new AbortController();
        return { lost: lost.signal, close: async () => lost.abort() } as never;
      },
    });
    for (let n = 0; n < TIMES; n++) {
      await link.open(signal);
      await link.reset();
    }
    expect(held(signal)).toBe(0);
    await link.close();
  });

  it('since AbortSignal.any stands only where every source ends with the call', () => {
    const src = fileURLToPath(new URL('../../src/', import.meta.url));
    const users = readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .filter((file) => readFileSync(`${src}${file}`, 'utf8').includes('AbortSignal.any('));
    // The start of a directory, and its time limit.
    expect(users).toEqual(['discovery/directory.ts']);
  });
});

it('a step that is cut short hears why, and ends as aborted whatever it does then', async () => {
  const until = new AbortController();
  let heard: unknown;
  const run = ({ context }: { context: { signal: AbortSignal } }) =>
    new Promise((_, reject) => {
      context.signal.addEventListener('abort', () => {
        heard = context.signal.reason;
        reject(new Error('cut short'));
      });
    });
  const context = { logger: silentLogger, results: {} };
  const end = runStep({ step: { env: [], run }, args: [] } as never, {
    snapshot: {} as never,
    context,
    until: until.signal,
  });
  until.abort('cancel');
  expect([await end, heard]).toEqual([{ kind: 'aborted' }, 'cancel']);
});
