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
    this.#logger.debug({ ...this.#fields, ...fields }, text);
  }

  info(fields: object, text: string): void {
    this.#logger.info({ ...this.#fields, ...fields }, text);
  }

  warn(fields: object, text: string): void {
    this.#logger.warn({ ...this.#fields, ...fields }, text);
  }

  error(fields: object, text: string): void {
    this.#logger.error({ ...this.#fields, ...fields }, text);
  }
}
