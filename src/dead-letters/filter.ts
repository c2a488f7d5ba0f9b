import type { DeadLetter } from './dead-letter.ts';

/** Which dead letters; all that is given must hold. @default every one */
export interface DeadLetterFilter {
  /** Any of these: `attempts`, `rejected`, `parked`, `malformed` … */
  readonly reasons?: readonly string[];
  /** Any of these names of handlers. */
  readonly handlers?: readonly string[];
  /** Any of these message ids. */
  readonly ids?: readonly string[];
  /** Given up at or after this time. One whose time is not known is left out. */
  readonly since?: Date;
}

export function matches(letter: DeadLetter, { reasons, handlers, ids, since }: DeadLetterFilter): boolean {
  if (reasons && !isOneOf(reasons, letter.reason)) return false;
  if (handlers && !isOneOf(handlers, letter.handler)) return false;
  if (ids && !isOneOf(ids, letter.id)) return false;
  // Only a time that can be read is at or after another.
  return !since || Date.parse(letter.time ?? '') >= since.getTime();
}

const isOneOf = (allowed: readonly string[], value: string | undefined): boolean =>
  value !== undefined && allowed.includes(value);
