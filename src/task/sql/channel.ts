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

/** undefined for what is none: the channel is open to every role of the database. */
export function parseNotice(payload: string): TaskNotice | undefined {
  const match = /^([0-9a-f-]{36}) ([A-Za-z]+)(?: ([\s\S]*))?$/.exec(payload);
  const [, id, word, rest] = match ?? [];
  if (id === undefined || word === undefined) return undefined;
  if (word === 'cancel') return { kind: 'cancel', id };
  if (word === 'STARTED') return { kind: 'started', id };
  if (word === 'progress') return progress(id, rest ?? '');
  const state = FINAL_STATES.find((final) => final === word);
  return state && { kind: 'ended', id, state, result: rest };
}

function progress(id: string, text: string): TaskNotice | undefined {
  const [, number, note] = /^([\d.e+-]+)(?: ([\s\S]*))?$/.exec(text) ?? [];
  const fraction = Number(number);
  return Number.isFinite(fraction) ? { kind: 'progress', id, fraction, note } : undefined;
}
