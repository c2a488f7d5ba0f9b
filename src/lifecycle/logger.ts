import { format } from 'node:util';
import { destination, pino } from 'pino';
import { maskJson } from '../util/mask.ts';

/** What we log to: pino's calling form, which bunyan and fastify's logger share. */
export interface Logger {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What a line was given, as fields and text: pino's form takes an error instead of fields, or a text alone, as well. */
export function logLine(fields: unknown, text: string): { readonly fields: object; readonly text: string } {
  if (fields instanceof Error) return { fields: { error: fields }, text: text ?? fields.message };
  if (typeof fields === 'string') return { fields: {}, text: text === undefined ? fields : format(fields, text) };
  return { fields: Object(fields), text: text ?? '' };
}

/**
 * JSON lines on standard error; URLs are masked in every line.
 * @param bindings fields of every line, e.g. `{ appId }`
 */
export function createLogger(level: LogLevel = 'info', bindings: object = {}): Logger {
  const sink = destination({ fd: 2, sync: true });
  return pino(
    { level, base: bindings, errorKey: 'error', serializers: { error: pino.stdSerializers.err } },
    { write: (line: string) => sink.write(maskJson(line)) },
  );
}

export const silentLogger: Logger = Object.freeze({
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
});
