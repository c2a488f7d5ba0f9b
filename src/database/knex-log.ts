import type { Logger } from '../lifecycle/logger.ts';

/** knex writes to the console by itself; what it has to say belongs into the service's log. */
export function knexLog(logger: Logger) {
  const text = (message: unknown): string => (typeof message === 'string' ? message : JSON.stringify(message));
  return {
    // Each of these comes back to the caller as an error, too.
    warn: (message: unknown) => logger.debug({ source: 'knex' }, text(message)),
    error: (message: unknown) => logger.error({ source: 'knex' }, text(message)),
    debug: (message: unknown) => logger.debug({ source: 'knex' }, text(message)),
    deprecate: (method: string, alternative: string) =>
      logger.debug({ source: 'knex' }, `${method} is deprecated, use ${alternative}`),
  };
}
