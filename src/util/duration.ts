import { InvalidArgumentError } from '../errors.ts';
import { type Duration, type DurationUnit, MAX_KEPT_MS, parseDuration } from '../parse-duration.ts';

export { type Duration, MAX_KEPT_MS, parseDuration };

/**
 * A duration in milliseconds.
 * @param numberUnit unit of a bare number: `'ms'` unless the option's name says otherwise
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for anything else, a negative or non-finite number
 */
export function durationMs(value: Duration, argument = 'duration', numberUnit: DurationUnit = 'ms'): number {
  const ms = parseDuration(value, numberUnit);
  if (ms === undefined) {
    throw new InvalidArgumentError(argument, "a duration such as '500ms', '5s', '2m' or a number ≥ 0", String(value));
  }
  return ms;
}

/**
 * `durationMs` of what is kept and added to times later.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) also for more than a hundred years
 */
export function keptDurationMs(value: Duration, argument: string, numberUnit?: DurationUnit): number {
  const ms = durationMs(value, argument, numberUnit);
  if (ms > MAX_KEPT_MS) throw new InvalidArgumentError(argument, "a duration of at most '36500d'", String(value));
  return ms;
}
