import { validate as isUuid } from 'uuid';
import { TaskNotFoundError } from '../errors.ts';
import { Bell } from '../util/bell.ts';
import { isFinal, type TaskEvent, type TaskRecord, type TaskState } from './state.ts';
import type { TaskWatch } from './watch.ts';

export interface EventsOptions {
  readonly watch: TaskWatch;
  readonly read: () => Promise<TaskRecord>;
  readonly signal: AbortSignal | undefined;
}

const NEVER = new AbortController().signal;

/** The state now, then what the notices and the row say. Of several that come at once the last progress is kept. */
export async function* taskEvents(
  id: string,
  { watch, read, signal = NEVER }: EventsOptions,
): AsyncGenerator<TaskEvent, void> {
  if (!isUuid(id)) throw new TaskNotFoundError(id);
  const bell = new Bell();
  let progress: TaskEvent | undefined;
  let mustRead = true;
  let known: TaskState | undefined;
  let told: number | undefined;
  const unwatch = watch.watch(id, (notice) => {
    if (notice.kind === 'progress') progress = notice;
    else mustRead = true;
    bell.ring();
  });
  try {
    while (!signal.aborted) {
      if (mustRead) {
        mustRead = false;
        const record = await read();
        if (record.progress !== undefined && record.progress !== told && !isFinal(record.state)) {
          progress ??= { kind: 'progress', fraction: record.progress, note: record.note };
        }
        if (record.state !== known) yield { kind: 'state', state: record.state };
        known = record.state;
        if (isFinal(record.state)) return;
      }
      if (progress?.kind === 'progress') {
        const { fraction, note } = progress;
        progress = undefined;
        told = fraction;
        yield { kind: 'progress', fraction, note };
      }
      await bell.wait(signal);
    }
  } finally {
    unwatch();
  }
}
