import { shown } from '../../task/coerce.ts';
import { FIELD_TYPES } from '../description.ts';
import { fieldType } from '../field.ts';
import { expectedOf, isNothing, readAs } from '../field-value.ts';
import { type ProcessStep, validation } from '../step.ts';
import { valueAt } from './value-at.ts';

/** `[type, [age, integer]]`; what is left out has any type. */
export const type: ProcessStep = validation(
  { description: 'A member of the body, if it is there, is of this type.' },
  ({ body }, field: string, name: string) => {
    const value = valueAt(body, field);
    const wanted = fieldType(name) ?? 'json';
    if (isNothing(value) || readAs(wanted, value) !== undefined) return true;
    return `${field}: expected ${expectedOf(wanted)}, got ${shown(value)}`;
  },
  ([field, name]) =>
    typeof field === 'string' && typeof name === 'string' && fieldType(name)
      ? undefined
      : `a member and a type, one of ${FIELD_TYPES.join(', ')}`,
);
