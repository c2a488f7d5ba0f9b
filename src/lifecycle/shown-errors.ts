import { pino } from 'pino';
import { isError } from '../util/thrown.ts';
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

/** The error itself, with what it is as JSON: a logger that knows errors finds one. */
const shown = (error: Error): Error =>
  Object.create(error, { toJSON: { value: () => asJson(error), configurable: true, writable: true } });

function asJson(error: Error): object {
  try {
    return pino.stdSerializers.err(error);
  } catch {
    // Its members are code of whoever threw it.
    return { type: 'Error', message: 'it threw an error that cannot be read' };
  }
}
