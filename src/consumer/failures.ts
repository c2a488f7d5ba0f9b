import { hostname } from 'node:os';
import type { HeaderValue } from '../message/message.ts';
import { maskUrl } from '../util/mask.ts';

/** One failed run, as it travels in `svc-comm-failures`. */
export interface Failure {
  /** ISO 8601, UTC. */
  readonly time: string;
  /** The error's `code`, else its class name. */
  readonly code: string;
  /** At most 1 KiB; credentials in URLs are masked. */
  readonly message: string;
  readonly host: string;
}

export const MAX_FAILURES = 10;
const MAX_MESSAGE_BYTES = 1024;
const MAX_CODE_BYTES = 128;
const HOST = hostname();

export function failureOf(error: Error, now: number): Failure {
  const code = (error as { code?: unknown }).code;
  return {
    time: new Date(now).toISOString(),
    code: cut(typeof code === 'string' && code !== '' ? code : error.name, MAX_CODE_BYTES),
    message: cut(maskUrl(error.message), MAX_MESSAGE_BYTES),
    host: HOST,
  };
}

/** The history in a header, oldest first; anything unreadable in it is left out. */
export function parseFailures(header: HeaderValue): readonly Failure[] {
  if (typeof header !== 'string') return [];
  try {
    const list: unknown = JSON.parse(header);
    return Array.isArray(list) ? list.filter(isFailure).slice(-MAX_FAILURES) : [];
  } catch {
    return [];
  }
}

const isFailure = (value: unknown): value is Failure => {
  if (typeof value !== 'object' || value === null) return false;
  const { time, code, message, host } = value as Record<string, unknown>;
  return [time, code, message, host].every((field) => typeof field === 'string');
};

const UNHANDLED = 'SVC_COMM_UNHANDLED_MESSAGE';
const MALFORMED = 'SVC_COMM_MALFORMED_MESSAGE';
const KEY_PARKED = 'SVC_COMM_KEY_PARKED';
/** Of messages that did not get as far as a handler. */
const BEFORE_HANDLERS: ReadonlySet<string> = new Set([UNHANDLED, MALFORMED, KEY_PARKED]);

/** Whether a handler has had the message, and given it up. */
export const hasRun = (failures: readonly Failure[]): boolean =>
  failures.some(({ code }) => !BEFORE_HANDLERS.has(code));

/**
 * Whether those behind the message have to wait for it: a handler has had it, or it waited behind one of its key. Only
 * what had a handler then waits so, and a version that has the handler again would find it overtaken. Who waits is not
 * read, though: what turned out since to be malformed no version could have taken.
 */
export const hasHeldItsKey = (failures: readonly Failure[]): boolean =>
  hasRun(failures) || failures.findLast(({ code }) => code !== UNHANDLED)?.code === KEY_PARKED;

/**
 * The last ones. Of a letter that is redriven again and again in vain the same is said once, with the latest time: else it
 * would take the place of what says that a handler has had the message.
 */
export const lastFailures = (failures: readonly Failure[]): readonly Failure[] =>
  failures
    .filter(({ code }, index) => !BEFORE_HANDLERS.has(code) || failures[index + 1]?.code !== code)
    .slice(-MAX_FAILURES);

/** Cuts at a character, never inside one. */
function cut(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  const bytes = Buffer.from(text).subarray(0, maxBytes - 3);
  return `${bytes.toString('utf8').replace(/\uFFFD+$/, '')}…`;
}
