import { InvalidArgumentError } from '../errors.ts';

/** `null`, `an array`, or what `typeof` says. */
export const kindOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;

/**
 * For callers in JavaScript: nothing has looked at what they hand over.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function assertObject(argument: string, value: unknown, expected = 'an object'): asserts value is object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new InvalidArgumentError(argument, expected, kindOf(value));
}

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for what is there and no AbortSignal, a controller say */
export function assertSignal(signal: unknown): void {
  if (signal === undefined || signal === null) return;
  const isSignal = typeof signal === 'object' && 'aborted' in signal && 'addEventListener' in signal;
  if (isSignal) return;
  const isController = typeof signal === 'object' && 'signal' in signal;
  throw new InvalidArgumentError('signal', 'an AbortSignal', isController ? 'its controller' : kindOf(signal));
}

/**
 * For what is harmful when it is overlooked, such as a filter of what is to be deleted.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for what is no object, and one with other names
 */
export function assertKnownNames(argument: string, value: unknown, names: readonly string[]): asserts value is object {
  const expected = `an object of ${[names.slice(0, -1).join(', '), names.at(-1)].filter(Boolean).join(' and ')}`;
  assertObject(argument, value, expected);
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(argument, expected, `the unknown name ${JSON.stringify(unknown)}`);
  }
}

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) */
export function assertTexts(argument: string, values: unknown): asserts values is readonly string[] {
  const isText = (value: unknown) => typeof value === 'string' && !value.includes('\0');
  if (Array.isArray(values) && values.every(isText)) return;
  throw new InvalidArgumentError(
    argument,
    'an array of texts without NUL',
    Array.isArray(values) ? 'one of others' : kindOf(values),
  );
}
