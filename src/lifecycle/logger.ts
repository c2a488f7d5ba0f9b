import { destination, pino } from 'pino';
import { maskJson } from '../util/mask.ts';
import { errorJson, fieldsJson } from './error-json.ts';

/** What we log to: pino's calling form, which bunyan and fastify's logger share. */
export interface Logger {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Of lines that a full disk does not take: they are written when it has room, and further ones are left out until then. */
const MAX_UNWRITTEN_BYTES = 1024 * 1024;

/**
 * JSON lines on standard error; URLs are masked in every line.
 * @param bindings fields of every line, e.g. `{ appId }`
 */
export function createLogger(level: LogLevel = 'info', bindings: object = {}): Logger {
  const sink = destination({ fd: 2, sync: true, maxLength: MAX_UNWRITTEN_BYTES });
  // Nobody who listened could be told; whoever does the work that is logged goes on.
  sink.on('error', () => undefined);
  return pino(
    // pino's own serialiser of `err` would take what we make of an error for another one.
    { level, base: bindings, errorKey: 'error', formatters: { log: fieldsJson }, serializers: { err: errorJson } },
    { write: (line: string) => sink.write(maskJson(line)) },
  );
}

export const silentLogger: Logger = Object.freeze({
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
});
