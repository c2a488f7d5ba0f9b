import { logLine } from './log-line.ts';
import type { Logger } from './logger.ts';

/** A logger that adds the same fields to every line. Fields of the line win. */
export class BoundLogger implements Logger {
  readonly #logger: Logger;
  readonly #fields: object;

  constructor(logger: Logger, fields: object) {
    this.#logger = logger;
    this.#fields = fields;
  }

  debug(fields: object, text: string): void {
    this.#log('debug', fields, text);
  }

  info(fields: object, text: string): void {
    this.#log('info', fields, text);
  }

  warn(fields: object, text: string): void {
    this.#log('warn', fields, text);
  }

  error(fields: object, text: string): void {
    this.#log('error', fields, text);
  }

  #log(level: keyof Logger, given: object, givenText: string): void {
    const { fields, text } = logLine(given, givenText);
    this.#logger[level]({ ...this.#fields, ...fields }, text);
  }
}
