import { maskUrl } from '../util/mask.ts';
import type { TaskFailure } from './state.ts';

/** What a worker says to a task's process, over its IPC channel. */
export type ToProcess =
  | { readonly kind: 'load'; readonly root: string; readonly files: readonly string[] }
  | {
      readonly kind: 'run';
      readonly id: string;
      readonly name: string;
      readonly attempt: number;
      /** JSON. */
      readonly args: string;
      readonly maxResultBytes: number;
      readonly correlationId?: string | undefined;
      readonly traceparent?: string | undefined;
    }
  /** The run is to end. SIGTERM follows, to all of its processes. */
  | { readonly kind: 'end' }
  /** Between runs: nothing more will come. */
  | { readonly kind: 'leave' };

/** What the process says. It runs the user's code, so the worker believes nothing of it. */
export type FromProcess =
  | { readonly kind: 'ready' }
  | { readonly kind: 'load-failed'; readonly message: string }
  /** It has the run; its function has not been called yet. */
  | { readonly kind: 'begun' }
  | { readonly kind: 'progress'; readonly fraction: number; readonly note?: string | undefined }
  /** `result` is JSON. */
  | ({ readonly kind: 'done'; readonly result: string } & Memory)
  | ({ readonly kind: 'failed'; readonly error: TaskFailure } & Memory);

/** Of the process when the run has ended, in bytes. To ask /proc for it costs the worker a twelfth of a short task. */
interface Memory {
  readonly residentBytes?: number | undefined;
}

const MAX_NOTE = 200;
const MAX_ERROR = 4096;

/** undefined: none that we know, or one with wrong contents. */
export function parseFromProcess(message: unknown): FromProcess | undefined {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return undefined;
  const given = message as Readonly<Record<string, unknown>>;
  switch (given.kind) {
    case 'ready':
    case 'begun':
      return { kind: given.kind };
    case 'load-failed':
      return { kind: 'load-failed', message: textOf(given.message, MAX_ERROR) };
    case 'progress':
      return progressOf(given);
    case 'done':
      return isJson(given.result) ? { kind: 'done', result: given.result, ...memoryOf(given) } : undefined;
    case 'failed':
      return { kind: 'failed', error: failureOf(given.error), ...memoryOf(given) };
    default:
      return undefined;
  }
}

const memoryOf = ({ residentBytes }: Readonly<Record<string, unknown>>): Memory =>
  typeof residentBytes === 'number' && residentBytes >= 0 ? { residentBytes } : {};

/** What is no JSON could not be read by whoever asks for it; with a NUL, the end of the run could not be written. */
function isJson(text: unknown): text is string {
  if (typeof text !== 'string') return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function progressOf({ fraction, note }: Readonly<Record<string, unknown>>): FromProcess | undefined {
  if (typeof fraction !== 'number' || !Number.isFinite(fraction)) return undefined;
  const within = Math.min(1, Math.max(0, fraction));
  return { kind: 'progress', fraction: within, ...(note === undefined ? {} : { note: textOf(note, MAX_NOTE) }) };
}

/** Whatever was thrown, masked and without its stack: results are read by others than those who may read logs. */
export function failureOf(thrown: unknown): TaskFailure {
  try {
    return readFailure(thrown);
  } catch {
    // Its members are code of whoever threw it.
    return { name: 'Error', message: 'it threw an object that cannot be read' };
  }
}

function readFailure(thrown: unknown): TaskFailure {
  if (typeof thrown !== 'object' || thrown === null) return { name: 'Error', message: textOf(thrown, MAX_ERROR) };
  const { name, message, code } = thrown as { name?: unknown; message?: unknown; code?: unknown };
  return {
    name: typeof name === 'string' && name !== '' ? textOf(name, 100) : 'Error',
    message: textOf(message ?? 'it threw an object without a message', MAX_ERROR),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: textOf(code, 100) } : {}),
  };
}

/** Masked before it is cut: without its end a URL would not be known for one. PostgreSQL's text holds no NUL. */
function textOf(value: unknown, max: number): string {
  const text = maskUrl(typeof value === 'string' ? value : String(value));
  const cut = text.length > max ? `${text.slice(0, max)}…` : text;
  return cut.replaceAll('\0', '\uFFFD');
}
