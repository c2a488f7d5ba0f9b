import { InvalidArgumentError } from '../errors.ts';

/** `'500ms'`, `'5s'`, `'2m'`, `'1h'`, `'7d'`, or a number in the unit that the option's name says. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SHAPE = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/**
 * A duration in milliseconds.
 * @param numberUnit unit of a bare number: `'ms'` unless the option's name says otherwise
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for anything else, a negative or non-finite number
 */
export function durationMs(value: Duration, argument = 'duration', numberUnit: keyof typeof UNIT_MS = 'ms'): number {
  const ms = parseDuration(value, numberUnit);
  if (ms === undefined) {
    throw new InvalidArgumentError(argument, "a duration such as '500ms', '5s', '2m' or a number ≥ 0", String(value));
  }
  return ms;
}

/** A hundred years: added to a time it is one that can still be written. */
export const MAX_KEPT_MS = 36_500 * UNIT_MS.d;

/**
 * `durationMs` of what is kept and added to times later.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) also for more than a hundred years
 */
export function keptDurationMs(value: Duration, argument: string, numberUnit?: keyof typeof UNIT_MS): number {
  const ms = durationMs(value, argument, numberUnit);
  if (ms > MAX_KEPT_MS) throw new InvalidArgumentError(argument, "a duration of at most '36500d'", String(value));
  return ms;
}

/** The same as `durationMs`, `undefined` instead of an error. */
export function parseDuration(value: unknown, numberUnit: keyof typeof UNIT_MS = 'ms'): number | undefined {
  if (typeof value === 'number') {
    return Number.isFinite(value) && value >= 0 ? value * UNIT_MS[numberUnit] : undefined;
  }
  const match = typeof value === 'string' ? SHAPE.exec(value) : null;
  return match ? Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS] : undefined;
}
