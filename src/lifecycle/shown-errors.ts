import type { Logger } from './logger.ts';
import { replaceErrors } from './replace-errors.ts';
import { SHOWN } from './shown-error.ts';

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
