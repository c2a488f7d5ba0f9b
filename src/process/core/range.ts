import { COERCIONS, shown } from '../../task/coerce.ts';
import { isNothing } from '../field-value.ts';
import { type ProcessStep, validation } from '../step.ts';
import { valueAt } from './value-at.ts';

type Limit = number | null | undefined;

/** `[range, [age, 18, 120]]`; a limit that is null is none, and what is left out is in every range. */
export const range: ProcessStep = validation(
  { description: 'A number of the body, if it is there, is not below the first and not above the second limit.' },
  ({ body }, field: string, min?: Limit, max?: Limit) => {
    const value = valueAt(body, field);
    if (isNothing(value)) return true;
    const number = COERCIONS.FLOAT(value);
    if (typeof number === 'number' && number >= (min ?? -Infinity) && number <= (max ?? Infinity)) return true;
    return `${field}: expected a number${limitText('from', min)}${limitText('to', max)}, got ${shown(value)}`;
  },
  ([field, min, max]) =>
    typeof field === 'string' &&
    isLimit(min) &&
    isLimit(max) &&
    (typeof min === 'number' || typeof max === 'number') &&
    Number(min ?? -Infinity) <= Number(max ?? Infinity)
      ? undefined
      : 'a member, a least and a greatest number, of which one may be null',
);

const isLimit = (value: unknown): boolean => value === undefined || value === null || Number.isFinite(value);
const limitText = (word: string, limit: Limit): string => (typeof limit === 'number' ? ` ${word} ${limit}` : '');
