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

type ProgressEvent = Extract<TaskEvent, { kind: 'progress' }>;

const NEVER = new AbortController().signal;

/**
 * The state now, then what the notices and the row say. Of several that come at once the last progress is kept; the last
 * of all is told before the end, also when its notice came together with the end's or was lost.
 */
export async function* taskEvents(
  id: string,
  { watch, read, signal = NEVER }: EventsOptions,
): AsyncGenerator<TaskEvent, void> {
  if (!isUuid(id)) throw new TaskNotFoundError(id);
  const bell = new Bell();
  let progress: ProgressEvent | undefined;
  let mustRead = true;
  let known: TaskState | undefined;
  let told: ProgressEvent | undefined;
  const unwatch = watch.watch(id, (notice) => {
    if (notice.kind === 'progress') progress = progressEvent(notice.fraction, notice.note);
    else mustRead = true;
    bell.ring();
  });
  try {
    while (!signal.aborted) {
      let ended: TaskState | undefined;
      if (mustRead) {
        mustRead = false;
        const record = await read();
        // The row is written before its notice is sent: what it says is no older than what was heard.
        const written = record.progress === undefined ? undefined : progressEvent(record.progress, record.note);
        if (isFinal(record.state)) ended = record.state;
        else if (record.state !== known) yield { kind: 'state', state: record.state };
        known = record.state;
        if (written && (ended || !progress) && !isSame(written, told)) progress = written;
      }
      const news = progress;
      progress = undefined;
      if (news && !isSame(news, told)) {
        told = news;
        yield news;
      }
      if (ended) return yield { kind: 'state', state: ended };
      await bell.wait(signal);
    }
  } finally {
    unwatch();
  }
}

function progressEvent(fraction: number, note: string | undefined): ProgressEvent {
  return { kind: 'progress', fraction, note };
}

function isSame(one: ProgressEvent, other: ProgressEvent | undefined): boolean {
  return one.fraction === other?.fraction && one.note === other.note;
}
