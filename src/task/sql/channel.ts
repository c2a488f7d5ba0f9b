import type { WorkerWord } from '../presence.ts';
import { FINAL_STATES, type FinalState } from '../state.ts';

/** PostgreSQL channel on which tasks are told of, to whoever has a connection that listens. */
export const TASK_CHANNEL = 'svc_comm_task';

/** Longest result, in bytes, that is told with its state; PostgreSQL takes 8000 bytes in all. */
export const TOLD_RESULT_BYTES = 4000;

/**
 * A notification: the task's id, a word, and what belongs to it.
 * - a final state; SUCCESS with the result as JSON when it is short
 * - `STARTED`
 * - `cancel`: its worker is to end it
 * - `progress` with a fraction and a note
 */
export type TaskNotice =
  | { readonly kind: 'ended'; readonly id: string; readonly state: FinalState; readonly result: string | undefined }
  | { readonly kind: 'started'; readonly id: string }
  | { readonly kind: 'cancel'; readonly id: string }
  | { readonly kind: 'progress'; readonly id: string; readonly fraction: number; readonly note: string | undefined };

/**
 * What concerns workers of a queue, not a task that somebody waits for:
 * - `waits` with the queue and ids: they have just been submitted. Whoever misses it gets them by the queue.
 * - `here` with the queue: the worker of this id listens for `waits`, and has room
 * - `full` with the queue: it listens, but takes nothing at the moment
 * - `echo` with the queue: the worker of this id wants to hear it itself
 */
export type WorkerNotice =
  | { readonly kind: 'waits'; readonly id: string; readonly queue: string; readonly ids: readonly string[] }
  | { readonly kind: 'worker'; readonly word: WorkerWord; readonly id: string; readonly queue: string };

export const waitsNotice = (queue: string, ids: readonly string[]): string =>
  `${ids[0]} waits ${JSON.stringify({ queue, ids })}`;

export const workerNotice = (word: WorkerWord, worker: string, queue: string): string => `${worker} ${word} ${queue}`;

/** undefined for what is none: the channel is open to every role of the database. */
export function parseNotice(payload: string): TaskNotice | WorkerNotice | undefined {
  const match = /^([0-9a-f-]{36}) ([A-Za-z]+)(?: ([\s\S]*))?$/.exec(payload);
  const [, id, word, rest] = match ?? [];
  if (id === undefined || word === undefined) return undefined;
  if (word === 'cancel') return { kind: 'cancel', id };
  if (word === 'STARTED') return { kind: 'started', id };
  if (word === 'progress') return progress(id, rest ?? '');
  if (word === 'here' || word === 'full' || word === 'echo') return { kind: 'worker', word, id, queue: rest ?? '' };
  if (word === 'waits') return waits(id, rest ?? '');
  const state = FINAL_STATES.find((final) => final === word);
  return state && { kind: 'ended', id, state, result: rest };
}

function waits(id: string, text: string): WorkerNotice | undefined {
  try {
    const { queue, ids } = JSON.parse(text) as { readonly queue?: unknown; readonly ids?: unknown };
    if (typeof queue !== 'string' || !Array.isArray(ids)) return undefined;
    return { kind: 'waits', id, queue, ids: ids.filter((one) => typeof one === 'string' && UUID.test(one)) };
  } catch {
    return undefined;
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function progress(id: string, text: string): TaskNotice | undefined {
  const [, number, note] = /^([\d.e+-]+)(?: ([\s\S]*))?$/.exec(text) ?? [];
  const fraction = Number(number);
  return Number.isFinite(fraction) ? { kind: 'progress', id, fraction, note } : undefined;
}
