import { InvalidArgumentError, MalformedMessageError } from '../errors.ts';

const SHAPE = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d+))?)?(Z|z|[+-]\d{2}(?::?\d{2})?)?$/;

/**
 * A time as it travels: ISO 8601 in UTC, always with a fraction of a second and `Z`, because the Python peer's parser
 * (`%Y-%m-%dT%H:%M:%S.%fZ`) takes nothing else.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for an invalid date, or a year outside 0001 … 9998 (the
 *   peer's datetime ends with year 9999, in any offset)
 */
export function formatTime(date: Date, argument = 'time'): string {
  const ms = date.getTime();
  const year = date.getUTCFullYear();
  if (Number.isNaN(ms) || year < 1 || year > 9998) {
    throw new InvalidArgumentError(
      argument,
      'a valid date with a year from 1 to 9998',
      Number.isNaN(ms) ? 'an invalid Date' : `year ${year}`,
    );
  }
  return date.toISOString();
}

/**
 * Reads any ISO 8601 date and time, with or without seconds (Java leaves out a whole minute's) and a fraction of them, with
 * any offset; without an offset it is UTC.
 * Digits past the millisecond are cut off.
 * @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE, reason `invalid-time`)
 */
export function parseTime(value: unknown, field: string): Date {
  if (typeof value === 'string' && isPlain(value)) {
    const date = new Date(value);
    if (!Number.isNaN(date.getTime())) return date;
  }
  const match = typeof value === 'string' ? SHAPE.exec(value) : null;
  if (match) {
    const [, day, minute, second = '00', fraction = '', offset = 'Z'] = match;
    const ms = fraction.slice(0, 3).padEnd(3, '0');
    const date = new Date(`${day}T${minute}:${second}.${ms}${normaliseOffset(offset)}`);
    if (!Number.isNaN(date.getTime())) return date;
  }
  throw new MalformedMessageError(
    'invalid-time',
    `${field} is no ISO 8601 time: ${JSON.stringify(value)?.slice(0, 60)}`,
  );
}

/** `2026-11-23T10:00:00.000Z`, as we write it and nearly all that come: the engine's own parser reads that fast. */
const isPlain = (text: string): boolean =>
  text.length === 24 && text[4] === '-' && text[7] === '-' && text[10] === 'T' && text[19] === '.' && text[23] === 'Z';

function normaliseOffset(offset: string): string {
  if (offset === 'z' || offset === 'Z') return 'Z';
  const digits = offset.slice(1).replace(':', '').padEnd(4, '0');
  return `${offset[0]}${digits.slice(0, 2)}:${digits.slice(2)}`;
}
