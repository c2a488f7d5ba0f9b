import { InvalidArgumentError } from '../errors.ts';
import { assertKnownNames, assertTexts, kindOf } from '../util/assert-object.ts';
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

const NAMES: Readonly<Record<keyof DeadLetterFilter, true>> = { reasons: true, handlers: true, ids: true, since: true };

/**
 * A filter that is overlooked, or a part of it, would take every letter.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function assertFilter(filter: unknown): asserts filter is DeadLetterFilter {
  assertKnownNames('filter', filter, Object.keys(NAMES));
  const { reasons, handlers, ids, since } = filter as DeadLetterFilter;
  for (const [name, texts] of Object.entries({ reasons, handlers, ids })) {
    if (texts !== undefined) assertTexts(`filter.${name}`, texts);
  }
  if (since === undefined || (since instanceof Date && !Number.isNaN(since.getTime()))) return;
  throw new InvalidArgumentError(
    'filter.since',
    'a valid Date',
    since instanceof Date ? 'an invalid one' : kindOf(since),
  );
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
