import { inspect } from 'node:util';
import { maskUrl } from '../util/mask.ts';
import { messageOf } from '../util/thrown.ts';
import { fieldsJson } from './error-json.ts';
import type { Logger } from './logger.ts';
import { replaceErrors } from './replace-errors.ts';
import { SHOWN } from './shown-error.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const satisfies readonly (keyof Logger)[];

/** pino and winston say which levels are off. */
type Asked = Logger & { readonly isLevelEnabled?: (level: string) => unknown };

/**
 * A logger of the user's, which writes the errors of our lines, and of a handler's: JSON has nothing of an error, or all
 * that is in it, and pino makes one readable only when the field is called `err`. What it throws ends no work of ours.
 */
export function showingErrors(logger: Logger): Logger {
  let hasWarned = false;
  const log = (level: keyof Logger, fields: object, text: string): void => {
    if ((logger as Asked).isLevelEnabled?.(level) !== false) logger[level](replaceErrors(fields, SHOWN), text);
  };
  const at =
    (level: keyof Logger) =>
    (fields: object, text: string): void => {
      try {
        log(level, fields, text);
      } catch {
        try {
          logger[level](plainFields(fields), text);
        } catch (error) {
          if (!hasWarned) process.emitWarning(`a logger threw, and lines are lost: ${maskUrl(messageOf(error))}`);
          hasWarned = true;
        }
      }
    };
  return Object.fromEntries(LEVELS.map((level) => [level, at(level)])) as unknown as Logger;
}

/** For a logger that cannot take what fields may have: a function, a BigInt, what contains itself. */
function plainFields(fields: object): Record<string, unknown> {
  const told = fieldsJson(fields);
  try {
    return JSON.parse(JSON.stringify(told, (_, value) => (typeof value === 'bigint' ? String(value) : value)));
  } catch {
    return { fields: inspect(told, { breakLength: Number.POSITIVE_INFINITY }) };
  }
}
