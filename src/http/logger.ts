import type { FastifyBaseLogger } from 'fastify';
import type { Logger } from '../lifecycle/logger.ts';
import { showingErrors } from '../lifecycle/shown-errors.ts';
import { isError } from '../util/thrown.ts';

const silent = (): void => undefined;

/** Our logger in the form that fastify asks for. What it tells of each request is left out. */
export function fastifyLogger(given: Logger): FastifyBaseLogger {
  const logger = showingErrors(given);
  const at =
    (level: keyof Logger) =>
    (fields: unknown, text?: unknown): void => {
      if (typeof fields === 'string') logger[level]({}, fields);
      else if (isError(fields)) logger[level]({ error: fields }, typeof text === 'string' ? text : fields.message);
      else logger[level](Object(fields), typeof text === 'string' ? text : '');
    };
  const own: FastifyBaseLogger = {
    level: 'info',
    trace: silent,
    debug: at('debug'),
    info: at('debug'),
    warn: at('warn'),
    error: at('error'),
    fatal: at('error'),
    silent,
    child: () => own,
  };
  return own;
}
