import { isNothing } from '../field-value.ts';
import { type ProcessStep, validation } from '../step.ts';
import { valueAt } from './value-at.ts';

/** `[requiredFields, [foo, bar]]` */
export const requiredFields: ProcessStep = validation(
  { description: 'The body has these members, and none of them is null or an empty text.' },
  ({ body }, ...fields: readonly string[]) => {
    const missing = fields.filter((field) => isNothing(valueAt(body, field)));
    return missing.length === 0 || `required: ${missing.join(', ')}`;
  },
  (args) => (args.length > 0 && args.every(isText) ? undefined : "names of members, such as ['foo', 'bar']"),
);

const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
