import { InvalidArgumentError } from '../errors.ts';
import { assertKnownNames, kindOf } from '../util/assert-object.ts';

/** What lists of tasks and of process instances have in common. */
export interface ListRange {
  readonly limit: number;
  readonly offset: number;
}

const PAGE = ['states', 'limit', 'offset'] as const;

/**
 * The options of a list with their defaults. One that is overlooked would list more than was asked for.
 * @param texts names of its filters that are texts
 * @param states those that there are
 * @param others names of options that are none of a list's, which the caller looks at
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function listOptions<Options extends Partial<ListRange> & { readonly states?: readonly string[] }>(
  options: Options,
  texts: readonly (keyof Options & string)[],
  states: readonly string[],
  others: readonly (keyof Options & string)[] = [],
): Options & ListRange {
  assertKnownNames('options', options, [...texts, ...PAGE, ...others]);
  for (const name of texts) {
    const text: unknown = options[name];
    if (text === undefined || (typeof text === 'string' && !text.includes('\0'))) continue;
    throw new InvalidArgumentError(name, 'a text without NUL', kindOf(text));
  }
  const { states: wanted = [], limit = 100, offset = 0 } = options;
  if (!Array.isArray(wanted) || !wanted.every((state) => states.includes(state))) {
    throw new InvalidArgumentError('states', `an array of any of ${states.join(', ')}`, JSON.stringify(wanted));
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new InvalidArgumentError('limit', 'a whole number from 1 to 1000', String(limit));
  }
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new InvalidArgumentError('offset', 'a whole number ≥ 0', String(offset));
  }
  return { ...options, limit, offset };
}
