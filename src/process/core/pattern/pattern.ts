import { shown } from '../../../task/coerce.ts';
import { messageOf } from '../../../util/thrown.ts';
import { isNothing } from '../../field-value.ts';
import { type ProcessStep, validation } from '../../step.ts';
import { valueAt } from '../value-at.ts';
import { LinearPattern, MOST_SIGNS } from './linear-pattern.ts';

/** `[pattern, [plate, '^[A-Z]{1,3}-[0-9]+$']]`; what is left out is not looked at. */
export const pattern: ProcessStep = validation(
  { description: `A text of the body, if it is there, has this form; it is not longer than ${MOST_SIGNS} signs.` },
  ({ body }, field: string, source: string) => {
    const value = valueAt(body, field);
    if (isNothing(value)) return true;
    if (typeof value !== 'string') return `${field}: expected a text, got ${shown(value)}`;
    return patternOf(source).test(value) || `${field}: expected a text of the form ${source}, got ${shown(value)}`;
  },
  ([field, source]) => {
    if (typeof field !== 'string' || typeof source !== 'string') return 'a member and a regular expression';
    try {
      patternOf(source);
      return undefined;
    } catch (error) {
      return `a regular expression: ${messageOf(error)}`;
    }
  },
);

/** Those of definitions only: so many as there are. */
const patterns = new Map<string, LinearPattern>();

function patternOf(source: string): LinearPattern {
  const known = patterns.get(source) ?? new LinearPattern(source);
  patterns.set(source, known);
  return known;
}
