import { isError } from '../util/thrown.ts';
import { errorData } from './error-data.ts';
import { type Replacement, replaceErrors } from './replace-errors.ts';

/** Of an error with its causes: they may be written into each other. */
export const MOST_ERRORS = 20;

/**
 * What an error is in a line of JSON: type, message, stack, code, its cause and an AggregateError's errors alike, and the
 * data of our own. What others put on theirs stays out: an HTTP client's has the request, with its headers and body.
 * @returns what is no error as it is
 */
export function errorJson(value: unknown): unknown {
  try {
    return isError(value) ? jsonOf(value, new Set()) : value;
  } catch {
    // Its members are code of whoever threw it.
    return { type: 'Error', message: 'it threw an error that cannot be read' };
  }
}

/** The fields of a line of JSON, each error in them as `errorJson` has it. */
export const fieldsJson = (fields: object): Record<string, unknown> => replaceErrors(fields, AS_JSON);

const AS_JSON: Replacement = {
  by: errorJson,
  // As JSON.stringify finds it. Bytes and times hold no error, and take long to be written.
  open: (value) => {
    if (ArrayBuffer.isView(value) || value instanceof Date) return undefined;
    const { toJSON } = value as { readonly toJSON?: unknown };
    return typeof toJSON === 'function' ? Reflect.apply(toJSON, value, []) : value;
  },
};

/** @param seen errors that are in it already */
function jsonOf(error: Error, seen: Set<unknown>): object {
  seen.add(error);
  const { name, message, stack, code, cause, errors } = error as unknown as Readonly<Record<string, unknown>>;
  const inner = (value: unknown): unknown => {
    if (typeof value === 'string') return value;
    return isError(value) && !seen.has(value) && seen.size < MOST_ERRORS ? jsonOf(value, seen) : undefined;
  };
  return {
    type: typeof error.constructor === 'function' ? error.constructor.name : textOf(name),
    message: textOf(message),
    stack: textOf(stack),
    code: typeof code === 'number' ? code : textOf(code),
    cause: inner(cause),
    errors: Array.isArray(errors) ? errors.slice(0, MOST_ERRORS).map(inner).filter(Boolean) : undefined,
    ...errorData(error, { by: inner, open: AS_JSON.open }),
  };
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
