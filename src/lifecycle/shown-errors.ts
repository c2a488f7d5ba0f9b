import { isError } from '../util/thrown.ts';
import { errorJson } from './error-json.ts';
import type { Logger } from './logger.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const satisfies readonly (keyof Logger)[];

/**
 * A logger of the user's, which writes the errors of our lines: JSON has nothing of an error, and pino makes one readable
 * only when the field is called `err`. Ours is called `error`, and came out as `{}`.
 */
export function showingErrors(logger: Logger): Logger {
  const at =
    (level: keyof Logger) =>
    (fields: object, text: string): void => {
      const { error } = Object(fields) as { readonly error?: unknown };
      logger[level](isError(error) ? { ...fields, error: shown(error) } : fields, text);
    };
  return Object.fromEntries(LEVELS.map((level) => [level, at(level)])) as unknown as Logger;
}

/** The error itself, with what it is as JSON: a logger that knows errors finds one, and all that it has. */
const shown = (error: Error): Error =>
  new Proxy(error, {
    get: (_, name) => (name === 'toJSON' ? () => errorJson(error) : Reflect.get(error, name)),
    // pino marks those that it has seen, and a frozen one takes no mark.
    set: (_, name, value) => Reflect.set(error, name, value) || true,
  });
