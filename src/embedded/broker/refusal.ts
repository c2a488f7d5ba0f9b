import type { Logger } from '../../lifecycle/logger.ts';
import { ProtocolError } from './protocol-error.ts';

/** What to tell the client: what it did wrong, or that the broker itself failed, which is logged as an error. */
export function asRefusal(error: unknown, logger: Logger): ProtocolError {
  if (error instanceof ProtocolError) {
    logger.debug({ reply: error.replyText }, 'embedded broker: connection refused');
    return error;
  }
  logger.error({ error }, 'embedded broker: internal error');
  return new ProtocolError('INTERNAL_ERROR', 'the broker failed at this', { cause: error });
}
