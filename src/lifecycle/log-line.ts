import { format } from 'node:util';
import { isError } from '../util/thrown.ts';

/** What a line was given, as fields and text: pino's form takes an error instead of fields, or a text alone, as well. */
export function logLine(fields: unknown, text: string): { readonly fields: object; readonly text: string } {
  if (isError(fields)) return { fields: { error: fields }, text: text ?? fields.message };
  if (typeof fields === 'string') return { fields: {}, text: text === undefined ? fields : format(fields, text) };
  return { fields: Object(fields), text: text ?? '' };
}
