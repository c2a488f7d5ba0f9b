import { errorJson } from './error-json.ts';
import type { Logger } from './logger.ts';
import { type Replacement, replaceErrors } from './replace-errors.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const satisfies readonly (keyof Logger)[];

/** pino and winston say which levels are off. */
type Asked = Logger & { readonly isLevelEnabled?: (level: string) => unknown };

/**
 * A logger of the user's, which writes the errors of our lines, and of a handler's: JSON has nothing of an error, or all
 * that is in it, and pino makes one readable only when the field is called `err`.
 */
export function showingErrors(logger: Logger): Logger {
  const at =
    (level: keyof Logger) =>
    (fields: object, text: string): void => {
      if ((logger as Asked).isLevelEnabled?.(level) !== false) logger[level](replaceErrors(fields, SHOWN), text);
    };
  return Object.fromEntries(LEVELS.map((level) => [level, at(level)])) as unknown as Logger;
}

const SHOWN: Replacement = {
  // The error itself, with what it is as JSON: a logger that knows errors finds one, and all that it has.
  by: (error) =>
    new Proxy(error, {
      get: (_, name) => (name === 'toJSON' ? () => errorJson(error) : Reflect.get(error, name)),
      // pino marks those that it has seen, and a frozen one takes no mark.
      set: (_, name, value) => Reflect.set(error, name, value) || true,
    }),
  // How others are written is theirs to say.
  open: (value) => (isPlain(value) ? value : undefined),
};

/** A list, or an object of no class, of whichever realm. */
function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}
