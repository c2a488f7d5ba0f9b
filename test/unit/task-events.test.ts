import { describe, expect, it } from 'vitest';
import { taskEvents } from '../../src/task/events.ts';
import type { TaskEvent, TaskRecord, TaskState } from '../../src/task/state.ts';
import type { TaskWatch, WatchListener } from '../../src/task/watch.ts';

const ID = '01890000-0000-7000-8000-000000000001';

/** A task whose row and notices the test sets; the one who listens runs between them. */
class Told {
  #listener: WatchListener = () => undefined;
  #row: Partial<TaskRecord> = { state: 'PENDING' };

  readonly watch = {
    watch: (_id: string, listener: WatchListener) => {
      this.#listener = listener;
      return () => undefined;
    },
  } as unknown as TaskWatch;

  row(state: TaskState, progress?: number, note?: string): this {
    this.#row = { state, ...(progress === undefined ? {} : { progress, note }) };
    return this;
  }

  ended(): void {
    this.#listener({ kind: 'look', id: ID });
  }

  progress(fraction: number, note?: string): void {
    this.#listener({ kind: 'progress', id: ID, fraction, note });
  }

  events() {
    const read = async () => this.#row as TaskRecord;
    return taskEvents(ID, { watch: this.watch, read, signal: undefined });
  }
}

const state = (of: TaskState): TaskEvent => ({ kind: 'state', state: of });
const progress = (fraction: number, note?: string): TaskEvent => ({ kind: 'progress', fraction, note });

async function next(events: AsyncGenerator<TaskEvent, void>): Promise<TaskEvent | undefined> {
  return (await events.next()).value ?? undefined;
}

describe('what happens to a task is told with its last progress', () => {
  it('when the end comes together with it', async () => {
    const told = new Told();
    const events = told.events();
    expect(await next(events)).toEqual(state('PENDING'));
    const second = next(events);
    told.row('SUCCESS', 1, 'line 3').progress(1, 'line 3');
    told.ended();
    expect(await second).toEqual(progress(1, 'line 3'));
    expect(await next(events)).toEqual(state('SUCCESS'));
    expect(await next(events)).toBeUndefined();
  });

  it('when its notice was lost, and only the row has it', async () => {
    const told = new Told();
    const events = told.events();
    expect(await next(events)).toEqual(state('PENDING'));
    const second = next(events);
    told.row('FAILURE', 0.5, 'half').ended();
    expect(await second).toEqual(progress(0.5, 'half'));
    expect(await next(events)).toEqual(state('FAILURE'));
  });

  it('when it had ended before anybody listened', async () => {
    const events = new Told().row('SUCCESS', 1, 'done').events();
    expect(await next(events)).toEqual(progress(1, 'done'));
    expect(await next(events)).toEqual(state('SUCCESS'));
  });

  it('once, when the notice came before', async () => {
    const told = new Told().row('STARTED');
    const events = told.events();
    expect(await next(events)).toEqual(state('STARTED'));
    const second = next(events);
    told.row('STARTED', 1, 'all').progress(1, 'all');
    expect(await second).toEqual(progress(1, 'all'));
    const third = next(events);
    told.row('SUCCESS', 1, 'all').ended();
    expect(await third).toEqual(state('SUCCESS'));
  });

  it('anew when a note comes at the same fraction, and not at all for one that tells none', async () => {
    const told = new Told().row('STARTED', 0, 'begun');
    const events = told.events();
    expect(await next(events)).toEqual(state('STARTED'));
    expect(await next(events)).toEqual(progress(0, 'begun'));
    const third = next(events);
    told.row('SUCCESS', 0, 'nothing to do').ended();
    expect(await third).toEqual(progress(0, 'nothing to do'));
    expect(await next(events)).toEqual(state('SUCCESS'));

    const silent = new Told().row('SUCCESS').events();
    expect(await next(silent)).toEqual(state('SUCCESS'));
  });
});
