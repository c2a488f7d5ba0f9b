import { shown } from '../../task/coerce.ts';
import { isNothing } from '../field-value.ts';
import { type ProcessStep, validation } from '../step.ts';
import { valueAt } from './value-at.ts';

/** `[oneOf, [size, s, m, l]]`; what is left out is not looked at. */
export const oneOf: ProcessStep = validation(
  { description: 'A member of the body, if it is there, is one of these values.' },
  ({ body }, field: string, ...values: readonly unknown[]) => {
    const value = valueAt(body, field);
    if (isNothing(value) || values.includes(value)) return true;
    return `${field}: expected one of ${values.map(shown).join(', ')}, got ${shown(value)}`;
  },
  ([field, ...values]) =>
    typeof field === 'string' && values.length > 0 ? undefined : 'a member, and the values that it may have',
);
