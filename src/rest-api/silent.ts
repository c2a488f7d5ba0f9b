import { isError } from '../util/thrown.ts';

/** A result, or the error that came instead. */
export type Outcome<Result> = readonly [result: Result, error: undefined] | readonly [result: undefined, error: Error];

export interface SilentOptions<Result> {
  /** Called with the error, before `silent` resolves. What it throws is thrown. */
  readonly onError?: (error: Error) => unknown;
  /** Called with the result, before `silent` resolves. What it throws is thrown. */
  readonly onSuccess?: (result: Result) => unknown;
}

/**
 * Runs `fn` and gives `[result, error]` instead of throwing.
 * @example
 * const [subject, error] = await silent(() => get('api/v1/subjects/1'), { onError: (error) => logger.warn({ error }, 'no subject') });
 */
export async function silent<Result>(
  fn: () => Result | Promise<Result>,
  { onError, onSuccess }: SilentOptions<Result> = {},
): Promise<Outcome<Result>> {
  let result: Result;
  try {
    result = await fn();
  } catch (thrown) {
    const error = isError(thrown) ? thrown : new Error('a value that is no Error was thrown', { cause: thrown });
    await onError?.(error);
    return [undefined, error];
  }
  await onSuccess?.(result);
  return [result, undefined];
}
