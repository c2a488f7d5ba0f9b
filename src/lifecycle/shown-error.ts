import { isError } from '../util/thrown.ts';
import { errorData } from './error-data.ts';
import { errorJson, MOST_ERRORS } from './error-json.ts';
import type { Replacement } from './replace-errors.ts';

/** What every error is told with, as far as it has it. */
const TOLD = ['name', 'message', 'stack', 'code', 'cause', 'errors'] as const;

/** An error for whatever looks at all that it is given: as it is, but it has as its own only what is to be told. */
export const SHOWN: Replacement = {
  by: (error) => {
    try {
      return shownOf(error, new Set());
    } catch {
      // Its members are code of whoever threw it.
      return errorJson(error);
    }
  },
  // How others are written is theirs to say.
  open: (value) => (isPlain(value) ? value : undefined),
};

/**
 * An Error that can be cloned, before the one that was thrown: by its name a member of that one is found, with what its
 * class alone can read, while `console` and the like write what an error has itself.
 * @param seen errors that are in it already
 */
function shownOf(error: Error, seen: Set<unknown>): Error {
  seen.add(error);
  const inner = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    return isError(value) && !seen.has(value) && seen.size < MOST_ERRORS ? shownOf(value, seen) : undefined;
  };
  const shown = Object.setPrototypeOf(new Error(), new Proxy(error, { get: (_, name) => Reflect.get(error, name) }));
  // V8 makes a text of it when it is replaced, with source maps in 70 us.
  delete shown.stack;
  const own = (name: string, value: unknown, enumerable: boolean) =>
    Object.defineProperty(shown, name, { value, enumerable, configurable: true, writable: true });
  for (const name of TOLD) {
    if (!(name in error)) continue;
    const value: unknown = Reflect.get(error, name);
    const told = Array.isArray(value) ? value.slice(0, MOST_ERRORS).map(inner).filter(Boolean) : inner(value);
    own(name, told, Object.prototype.propertyIsEnumerable.call(error, name));
  }
  for (const [name, value] of Object.entries(errorData(error, { ...SHOWN, by: inner }))) own(name, value, true);
  own('toJSON', () => errorJson(error), false);
  return shown;
}

/** A list, or an object of no class, of whichever realm. */
function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}
